//! Every limit of these endpoints, with its unit. Each is tested on both sides.

/// Largest body of an operation, in bytes, inclusive.
pub const OPERATION_BYTES_MAX: usize = 16 * 1024;
/// Longest id of a revocation, in bytes, inclusive.
pub const ID_BYTES_MAX: usize = 128;
/// Longest reason, in bytes, inclusive.
pub const REASON_BYTES_MAX: usize = 1024;
/// Longest field of a filter, in bytes, inclusive.
pub const FIELD_BYTES_MAX: usize = 2048;
