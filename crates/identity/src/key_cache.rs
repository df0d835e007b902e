//! Parsed key sets, kept by the digest of their documents.

use std::rc::Rc;

use sha2::{Digest, Sha256};
use vouchsafe_jose::{KeySet, KeyUse};

use crate::error::DocumentError;
use crate::time::UnixSeconds;

/// Most key sets that a cache keeps.
pub const KEY_SETS_MAX: usize = 32;

/// Keys together with the end of their trust.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    set: Rc<KeySet>,
    digest: String,
    trusted_until: UnixSeconds,
}

impl TrustedKeys {
    /// `set`, whose document has this digest, is trusted before `trusted_until`, and not at it.
    #[must_use]
    pub fn new(set: Rc<KeySet>, digest: String, trusted_until: UnixSeconds) -> Self {
        Self {
            set,
            digest,
            trusted_until,
        }
    }

    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn until(&self) -> UnixSeconds {
        self.trusted_until
    }

    pub(crate) fn at(&self, now: UnixSeconds) -> Option<&KeySet> {
        (now < self.trusted_until).then_some(&self.set)
    }
}

/// At most [`KEY_SETS_MAX`] parsed sets, the least recently used going first.
///
/// Entries need no age: a digest names its document for ever, and how long a document is trusted
/// is decided by the caller's `trusted_until`, never here. Holds public keys only.
// INVARIANT: every entry's digest was computed here, from the document that was parsed.
#[derive(Debug, Default)]
pub struct KeySetCache {
    /// The most recently used comes last.
    entries: Vec<(String, KeyUse, Rc<KeySet>)>,
}

impl KeySetCache {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// The keys of `document` for one use, whose digest is said to be `digest`.
    ///
    /// # Errors
    /// The digest is another one, or the document is not a usable key set.
    pub fn get_or_parse(
        &mut self,
        digest: &str,
        document: &str,
        key_use: KeyUse,
    ) -> Result<Rc<KeySet>, DocumentError> {
        let is_it = |entry: &(String, KeyUse, _)| entry.0 == digest && entry.1 == key_use;
        if let Some(at) = self.entries.iter().position(is_it) {
            let entry = self.entries.remove(at);
            let set = Rc::clone(&entry.2);
            self.entries.push(entry);
            return Ok(set);
        }
        if sha256_hex(document.as_bytes()) != digest {
            return Err(DocumentError::Digest);
        }
        let set =
            Rc::new(KeySet::parse(document.as_bytes(), key_use).map_err(DocumentError::KeySet)?);
        if self.entries.len() >= KEY_SETS_MAX {
            self.entries.remove(0);
        }
        self.entries
            .push((digest.to_owned(), key_use, Rc::clone(&set)));
        Ok(set)
    }
}

/// Lower-case hex SHA-256.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use vouchsafe_jose::{JsonError, KeySetError};

    use super::*;

    fn document(number: usize) -> String {
        format!("{{\"keys\":[]}}{}", " ".repeat(number))
    }

    fn digest(document: &str) -> String {
        sha256_hex(document.as_bytes())
    }

    #[test]
    fn names_documents_by_their_sha256() {
        assert_eq!(
            sha256_hex(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn parses_a_document_once() {
        let mut cache = KeySetCache::new();
        let text = document(0);
        let first = cache
            .get_or_parse(&digest(&text), &text, KeyUse::Signature)
            .unwrap();
        let again = cache
            .get_or_parse(&digest(&text), &text, KeyUse::Signature)
            .unwrap();
        assert!(Rc::ptr_eq(&first, &again));
    }

    #[test]
    fn rejects_documents_under_another_digest() {
        let mut cache = KeySetCache::new();
        for wrong in [
            digest("other"),
            digest(&document(0)).to_uppercase(),
            String::new(),
        ] {
            assert_eq!(
                cache
                    .get_or_parse(&wrong, &document(0), KeyUse::Signature)
                    .map(|_| ()),
                Err(DocumentError::Digest)
            );
        }
        let invalid = cache
            .get_or_parse(&digest("x"), "x", KeyUse::Signature)
            .map(|_| ());
        assert_eq!(
            invalid,
            Err(DocumentError::KeySet(KeySetError::Json(JsonError::Syntax)))
        );
        assert_eq!(cache.entries.len(), 0);
    }

    #[test]
    fn forgets_the_least_recently_used_set() {
        let mut cache = KeySetCache::new();
        for number in 0..KEY_SETS_MAX {
            cache
                .get_or_parse(
                    &digest(&document(number)),
                    &document(number),
                    KeyUse::Signature,
                )
                .unwrap();
        }
        assert_eq!(cache.entries.len(), KEY_SETS_MAX);
        cache
            .get_or_parse(&digest(&document(0)), &document(0), KeyUse::Signature)
            .unwrap();
        cache
            .get_or_parse(
                &digest(&document(KEY_SETS_MAX)),
                &document(KEY_SETS_MAX),
                KeyUse::Signature,
            )
            .unwrap();
        assert_eq!(cache.entries.len(), KEY_SETS_MAX);
        let holds = |number: usize| {
            cache
                .entries
                .iter()
                .any(|(known, _, _)| *known == digest(&document(number)))
        };
        assert!(holds(0) && holds(2) && holds(KEY_SETS_MAX));
        assert!(!holds(1));
    }
}
