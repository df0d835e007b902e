//! Why a key can't be used, or a signature does not verify.

use crate::limits::{RSA_EXPONENT_MAX, RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN};

/// The signature does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct SignatureInvalid;

/// Why a JWK of a set is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRejection {
    #[error("`alg` is not the algorithm of this key type")]
    AlgorithmMismatch,
    #[error("`x5c` is malformed, or its first certificate is of another key")]
    Certificate,
    #[error("the curve is not supported")]
    Curve,
    #[error("the key type is not supported")]
    KeyType,
    #[error("the key has no `kid`")]
    KidMissing,
    #[error("a member is missing or malformed")]
    Malformed,
    #[error("the point is not a valid public key")]
    Point,
    #[error("the key is not for verifying signatures")]
    Purpose,
    #[error("the exponent is not an odd number from 3 to {RSA_EXPONENT_MAX}")]
    RsaExponent,
    #[error(
        "the modulus is not an odd number of {RSA_MODULUS_BITS_MIN} to {RSA_MODULUS_BITS_MAX} bits"
    )]
    RsaModulus,
    #[error("the modulus is longer than a key set's keys may be")]
    RsaTooLong,
    #[error("the modulus was made by a faulty generator")]
    RsaWeak,
}
