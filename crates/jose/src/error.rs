//! Errors of keys and signatures.

use crate::limits::{RSA_EXPONENT_MAX, RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN};

/// A signature does not verify; nothing says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureError;

/// Why a JWK can't verify signatures here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("`alg` does not match the key type")]
    AlgorithmMismatch,
    #[error("`x5c` is malformed or its first certificate is for another key")]
    Certificate,
    #[error("unsupported curve")]
    Curve,
    #[error("unsupported key type")]
    KeyType,
    #[error("missing `kid`")]
    KidMissing,
    #[error("a member is missing or malformed")]
    Malformed,
    #[error("invalid public key")]
    Point,
    #[error("`use` or `key_ops` does not allow verifying signatures")]
    Purpose,
    #[error("the RSA exponent is not an odd number from 3 to {RSA_EXPONENT_MAX}")]
    RsaExponent,
    #[error("the RSA modulus is not an odd number of {RSA_MODULUS_BITS_MIN} to {RSA_MODULUS_BITS_MAX} bits")]
    RsaModulus,
    #[error("the RSA modulus is longer than allowed in a key set")]
    RsaTooLong,
    #[error("weak RSA modulus from a faulty generator (CVE-2017-15361)")]
    RsaWeak,
}
