//! Limits of `act` (RFC 8693 §4.1) and `txn` (RFC 8417 §2.2), which several parts enforce.

/// Most actors of a token: the current one and those before.
pub const ACTORS_MAX: usize = 4;

/// Most bytes of all members of all actors of a token, inclusive.
pub const ACTORS_BYTES_MAX: usize = 4 * 1024;

/// Longest `txn`, in bytes, inclusive.
pub const TXN_BYTES_MAX: usize = 128;
