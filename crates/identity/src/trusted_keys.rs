//! Parsed key sets with an end of trust.

use std::rc::Rc;

use sha2::{Digest, Sha256};
use vouchsafe_crypto::Crypto;
use vouchsafe_jose::KeyUse;
use vouchsafe_types::{KeySet, UnixSeconds};

use crate::error::DocumentError;

/// A key set parsed once, for one use. Contains public keys only.
// INVARIANT: `digest` was computed here, from the document that was parsed.
#[derive(Clone, Debug)]
pub struct ParsedKeys {
    set: Rc<vouchsafe_jose::KeySet>,
    digest: Rc<str>,
}

impl ParsedKeys {
    /// Parses the document of `keys`, which `crypto` verifies with.
    ///
    /// # Errors
    /// The digest does not match the document, or the document is not a valid key set.
    pub fn parse(keys: &KeySet, key_use: KeyUse, crypto: &dyn Crypto) -> Result<Self, DocumentError> {
        if sha256_hex(keys.document.as_bytes()) != keys.digest {
            return Err(DocumentError::Digest);
        }
        let set = vouchsafe_jose::KeySet::parse(keys.document.as_bytes(), key_use, crypto);
        Ok(Self { set: Rc::new(set.map_err(DocumentError::KeySet)?), digest: keys.digest.as_str().into() })
    }

    /// Parses the broker's own JWK Set `document`.
    ///
    /// # Errors
    /// The document is not a valid key set.
    pub fn of_broker(document: &str, crypto: &dyn Crypto) -> Result<Self, DocumentError> {
        let set = vouchsafe_jose::KeySet::parse(document.as_bytes(), KeyUse::Signature, crypto);
        let digest = sha256_hex(document.as_bytes()).into();
        Ok(Self { set: Rc::new(set.map_err(DocumentError::KeySet)?), digest })
    }

    /// The keys, trusted strictly before `until`.
    #[must_use]
    pub fn trusted_until(&self, until: UnixSeconds) -> TrustedKeys {
        TrustedKeys { keys: self.clone(), until }
    }
}

/// Keys with the end of trust in them.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    keys: ParsedKeys,
    until: UnixSeconds,
}

impl TrustedKeys {
    /// Keys under an arbitrary digest, for tests.
    #[cfg(test)]
    pub(crate) fn new(set: Rc<vouchsafe_jose::KeySet>, digest: &str, until: UnixSeconds) -> Self {
        let digest = digest.into();
        let keys = ParsedKeys { set, digest };
        Self { keys, until }
    }

    pub(crate) fn digest(&self) -> &str {
        &self.keys.digest
    }

    pub(crate) fn until(&self) -> UnixSeconds {
        self.until
    }

    pub(crate) fn at(&self, now: UnixSeconds) -> Option<&vouchsafe_jose::KeySet> {
        (now < self.until).then_some(&self.keys.set)
    }
}

/// Lowercase hex SHA-256.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use vouchsafe_jose::{JsonError, KeySetError};

    use super::*;

    fn parse(digest: String, document: &str) -> Result<(), DocumentError> {
        let document = document.to_owned();
        let keys = KeySet { digest, document, trusted_until: 0, etag: None };
        ParsedKeys::parse(&keys, KeyUse::Signature, &vouchsafe_crypto::Software).map(drop)
    }

    #[test]
    fn computes_sha256_of_documents() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn rejects_documents_with_wrong_digest() {
        let document = r#"{"keys":[]}"#;
        let digest = sha256_hex(document.as_bytes());
        assert_eq!(parse(digest.clone(), document), Ok(()));
        for wrong in [sha256_hex(b"other"), digest.to_uppercase(), String::new()] {
            assert_eq!(parse(wrong, document), Err(DocumentError::Digest));
        }
    }

    #[test]
    fn rejects_documents_that_are_not_key_sets() {
        assert_eq!(parse(sha256_hex(b"x"), "x"), Err(DocumentError::KeySet(KeySetError::Json(JsonError::Syntax))));
    }

    #[test]
    fn trusts_keys_strictly_before_their_end() {
        let set =
            vouchsafe_jose::KeySet::parse(br#"{"keys":[]}"#, KeyUse::Signature, &vouchsafe_crypto::Software).unwrap();
        let keys = TrustedKeys::new(Rc::new(set), "test", UnixSeconds(100));
        assert!(keys.at(UnixSeconds(99)).is_some());
        assert!(keys.at(UnixSeconds(100)).is_none());
    }
}
