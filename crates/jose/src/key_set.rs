//! An issuer's JWK Set (RFC 7517 §5).

use std::collections::BTreeSet;

use crate::algorithm::Algorithm;
use crate::error::KeyError;
use crate::jws::KID_BYTES_MAX;
use crate::key::{KeyUse, PublicKey};
use crate::limits::KEY_SET_RSA_BITS_MAX;
use vouchsafe_crypto::Crypto;
use vouchsafe_json::{Json, JsonError, JsonObject};

/// Longest accepted JWK Set document, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Most keys in a key set, usable or not.
pub const KEYS_MAX: usize = 100;

/// Members that only private or symmetric keys have (RFC 7518 §6.2.2, §6.3.2, §6.4, RFC 8037 §2).
const SECRET_MEMBERS: [&str; 8] = ["d", "dp", "dq", "k", "oth", "p", "q", "qi"];

/// Whether `jwk` is private or symmetric.
pub(crate) fn is_secret(jwk: &JsonObject) -> bool {
    jwk.get("kty").and_then(Json::as_text) == Some("oct") || SECRET_MEMBERS.iter().any(|name| jwk.contains(name))
}

/// The usable keys of an issuer, and why the others are not usable.
// INVARIANT: no key is private or symmetric, and no `kid` occurs twice, usable or not.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Entry>,
    skipped: Vec<SkippedKey>,
    key_use: KeyUse,
}

#[derive(Debug)]
struct Entry {
    kid: Option<String>,
    key: PublicKey,
}

/// A listed key that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    pub kid: Option<String>,
    pub reason: KeyError,
}

impl KeySet {
    /// Parses a JWK Set document. Skips unusable keys (RFC 7517 §5), but rejects the whole set if it contains a secret
    /// key or a duplicate `kid`, because no issuer can intend that.
    ///
    /// # Errors
    /// [`KeySetError`] if no key of the document may be used.
    pub fn parse(document: &[u8], key_use: KeyUse, crypto: &dyn Crypto) -> Result<Self, KeySetError> {
        if document.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooLarge);
        }
        let set = JsonObject::parse(document)?;
        let jwks = set.get("keys").and_then(Json::as_array).ok_or(KeySetError::KeysMissing)?;
        if jwks.len() > KEYS_MAX {
            return Err(KeySetError::TooManyKeys);
        }
        let jwks = jwks.iter().map(Json::as_object).collect::<Option<Vec<_>>>().ok_or(KeySetError::KeysMissing)?;
        // ORDER: the whole set is checked before any key is built.
        require_public(&jwks)?;
        let kids = distinct_kids(&jwks)?;
        Ok(Self::build(&jwks, kids, key_use, crypto))
    }

    fn build(jwks: &[&JsonObject], kids: Vec<Option<String>>, key_use: KeyUse, crypto: &dyn Crypto) -> Self {
        let mut set = Self { keys: Vec::new(), skipped: Vec::new(), key_use };
        for (jwk, kid) in jwks.iter().zip(kids) {
            match PublicKey::from_jwk_within(jwk, key_use, KEY_SET_RSA_BITS_MAX, crypto) {
                Ok(key) => set.keys.push(Entry { kid, key }),
                Err(reason) => set.skipped.push(SkippedKey { kid, reason }),
            }
        }
        set
    }

    /// Finds the key `kid` for `algorithm`. Without a `kid`, finds the set's only key for `algorithm`; trying several
    /// would let the token choose.
    ///
    /// # Errors
    /// [`KeyLookupError`] if there is no such key, or if it is not for `algorithm`.
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&PublicKey, KeyLookupError> {
        match kid {
            Some(kid) => self.find_named(kid, algorithm),
            None => self.find_only(algorithm),
        }
    }

    fn find_named(&self, kid: &str, algorithm: Algorithm) -> Result<&PublicKey, KeyLookupError> {
        if let Some(entry) = self.keys.iter().find(|entry| entry.kid.as_deref() == Some(kid)) {
            return if entry.key.algorithm() == algorithm { Ok(&entry.key) } else { Err(KeyLookupError::Unusable) };
        }
        if self.skipped.iter().any(|skipped| skipped.kid.as_deref() == Some(kid)) {
            return Err(KeyLookupError::Unusable);
        }
        Err(KeyLookupError::Unknown)
    }

    fn find_only(&self, algorithm: Algorithm) -> Result<&PublicKey, KeyLookupError> {
        let mut fitting = self.keys.iter().filter(|entry| entry.key.algorithm() == algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(&only.key),
            (None, _) | (Some(_), Some(_)) => Err(KeyLookupError::Unknown),
        }
    }

    /// The use that its keys were accepted for.
    #[must_use]
    pub fn key_use(&self) -> KeyUse {
        self.key_use
    }

    /// The number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that can't be used, for the log.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }
}

/// Why a key set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyLookupError {
    #[error("no such key in the key set")]
    Unknown,
    #[error("the key can't be used with this algorithm")]
    Unusable,
}

/// Why a whole JWK Set is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("duplicate `kid`")]
    DuplicateKid,
    #[error("the key set is not strict JSON")]
    Json(#[from] JsonError),
    #[error("`keys` is not an array of objects")]
    KeysMissing,
    #[error("a `kid` is not a string of at most {KID_BYTES_MAX} bytes")]
    Kid,
    #[error("the key set contains a private or symmetric key")]
    SecretKey,
    #[error("the key set is longer than {KEY_SET_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the key set has more than {KEYS_MAX} keys")]
    TooManyKeys,
}

fn require_public(jwks: &[&JsonObject]) -> Result<(), KeySetError> {
    if jwks.iter().any(|jwk| is_secret(jwk)) { Err(KeySetError::SecretKey) } else { Ok(()) }
}

fn distinct_kids(jwks: &[&JsonObject]) -> Result<Vec<Option<String>>, KeySetError> {
    let mut seen = BTreeSet::new();
    jwks.iter()
        .map(|jwk| match jwk.get("kid") {
            None => Ok(None),
            Some(Json::Text(kid)) if kid.len() > KID_BYTES_MAX => Err(KeySetError::Kid),
            Some(Json::Text(kid)) if !seen.insert(kid) => Err(KeySetError::DuplicateKid),
            Some(Json::Text(kid)) => Ok(Some(kid.clone())),
            Some(_) => Err(KeySetError::Kid),
        })
        .collect()
}

#[cfg(test)]
#[path = "key_set_tests.rs"]
mod tests;
