//! Limits on RSA keys.

/// Shortest accepted modulus, in bits (RFC 7518 §3.3).
pub const RSA_MODULUS_BITS_MIN: u32 = 2048;
/// Longest modulus that verification supports, in bits.
pub const RSA_MODULUS_BITS_MAX: u32 = 8192;
/// Longest accepted modulus in a key set, in bits. The cost of loading and verifying grows with its square, and an
/// issuer chooses up to [`crate::KEYS_MAX`] keys. Issuers use 2048 to 4096 bits.
pub const KEY_SET_RSA_BITS_MAX: u32 = 4096;
/// Largest accepted public exponent: verification costs grow with its length.
pub const RSA_EXPONENT_MAX: u64 = u32::MAX as u64;
