//! Parsed key sets, kept by the digest of their documents.

use std::rc::Rc;

use sha2::{Digest, Sha256};
use vouchsafe_jose::KeySet;

use crate::error::DocumentError;
use crate::time::UnixSeconds;

/// Most key sets that a cache keeps.
pub const KEY_SETS_MAX: usize = 32;

/// Keys together with the end of their trust.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    set: Rc<KeySet>,
    trusted_until: UnixSeconds,
}

impl TrustedKeys {
    /// `set` is trusted before `trusted_until`, and not at it.
    #[must_use]
    pub fn new(set: Rc<KeySet>, trusted_until: UnixSeconds) -> Self {
        Self { set, trusted_until }
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
    entries: Vec<(String, Rc<KeySet>)>,
}

impl KeySetCache {
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The key set of `document`, whose digest is said to be `digest`.
    ///
    /// # Errors
    /// The digest is another one, or the document is not a usable key set.
    pub fn get_or_parse(&mut self, digest: &str, document: &str) -> Result<Rc<KeySet>, DocumentError> {
        if let Some(at) = self.entries.iter().position(|(known, _)| known == digest) {
            let entry = self.entries.remove(at);
            let set = Rc::clone(&entry.1);
            self.entries.push(entry);
            return Ok(set);
        }
        if sha256_hex(document.as_bytes()) != digest {
            return Err(DocumentError::Digest);
        }
        let set = Rc::new(KeySet::parse(document.as_bytes()).map_err(DocumentError::KeySet)?);
        if self.entries.len() >= KEY_SETS_MAX {
            self.entries.remove(0);
        }
        self.entries.push((digest.to_owned(), Rc::clone(&set)));
        Ok(set)
    }
}

/// Lower-case hex SHA-256.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
