//! A JWS whose header holds the key that verifies it: a proof of possession (RFC 7515 §4.1.3, RFC 9449 §4.2).

use vouchsafe_crypto::Crypto;

use crate::error::{KeyError, SignatureError};
use crate::jws::{JwsError, UnverifiedJws};
use crate::key::{KeyUse, PublicKey};
use crate::key_set::is_secret;
use crate::limits::KEY_SET_RSA_BITS_MAX;
use crate::thumbprint;

/// A JWS that is signed with the key in its header. Anybody can make one, so it proves nothing but that its maker holds
/// that key.
///
/// INVARIANT: only [`Self::verify`] makes one.
#[derive(Debug)]
pub struct SelfSignedJws {
    jws: UnverifiedJws,
    thumbprint: String,
}

impl SelfSignedJws {
    /// Verifies `token` with its own key, if it has exactly this `typ`.
    ///
    /// # Errors
    /// The first defect: form, type, key, algorithm, signature.
    pub fn verify(token: &str, typ: &str, crypto: &dyn Crypto) -> Result<Self, SelfSignedError> {
        let jws = UnverifiedJws::parse(token)?;
        if jws.typ() != Some(typ) {
            return Err(SelfSignedError::Type);
        }
        let jwk = jws.jwk().ok_or(SelfSignedError::KeyMissing)?;
        // A private key that was sent to somebody proves nothing (RFC 9449 §4.3).
        if is_secret(jwk) {
            return Err(SelfSignedError::KeySecret);
        }
        let key = PublicKey::from_jwk_within(jwk, KeyUse::Signature, KEY_SET_RSA_BITS_MAX, crypto)?;
        if key.algorithm() != jws.algorithm() {
            return Err(SelfSignedError::AlgorithmMismatch);
        }
        key.verify(jws.signing_input().as_bytes(), jws.signature())?;
        let thumbprint = thumbprint::of(jwk);
        Ok(Self { jws, thumbprint })
    }

    /// Identifies the key: its thumbprint with SHA-256 (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.jws.payload()
    }
}

/// Why a JWS does not prove possession of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfSignedError {
    #[error("the key can't be used with the algorithm")]
    AlgorithmMismatch,
    #[error("{0}")]
    Jws(#[from] JwsError),
    #[error("the key in the header: {0}")]
    Key(#[from] KeyError),
    #[error("the header has no key")]
    KeyMissing,
    #[error("the key in the header is private or symmetric")]
    KeySecret,
    #[error("{0}")]
    Signature(#[from] SignatureError),
    #[error("`typ` is missing or another one")]
    Type,
}

#[cfg(test)]
#[path = "self_signed_tests.rs"]
mod tests;
