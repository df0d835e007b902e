//! What instances share about an issuer's keys, as a document in the store.

use super::reason::Reason;
use serde_json::{Value, json};
use std::rc::Rc;
use vouchsafe_types::KeySet;

/// The stored state of an issuer: its keys, and the results of the last attempts to fetch them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shared {
    pub(super) keys: Option<Rc<KeySet>>,
    /// When `keys` were fetched.
    pub(super) fetched_at: u64,
    /// Grows with each attempt, so that waiting requests notice the end of one.
    pub(super) attempts: u64,
    /// When keys were last fetched because of their age; 0 for never.
    pub(super) aged_at: u64,
    /// When keys were last fetched because of an unknown `kid`; 0 for never.
    pub(super) unknown_kid_at: u64,
    /// Failed attempts since the last success.
    pub(super) failures: u32,
    /// No attempt is made before this time; 0 after a success.
    pub(super) retry_at: u64,
    /// Why the last attempt failed, for the log; empty after a success. Contains no key, claim or credential.
    pub(super) cause: String,
}

impl Shared {
    pub(super) fn last_attempt(&self, reason: Reason) -> u64 {
        match reason {
            Reason::Age => self.aged_at,
            Reason::UnknownKid => self.unknown_kid_at,
        }
    }

    pub(super) fn encode(&self) -> String {
        json!({
            "keys": self.keys.as_ref().map(|keys| json!({
                "digest": keys.digest,
                "document": keys.document,
                "trusted_until": keys.trusted_until,
                "etag": keys.etag,
            })),
            "fetched_at": self.fetched_at,
            "attempts": self.attempts,
            "aged_at": self.aged_at,
            "unknown_kid_at": self.unknown_kid_at,
            "failures": self.failures,
            "retry_at": self.retry_at,
            "cause": self.cause,
        })
        .to_string()
    }

    /// Parses a document. One that does not parse counts as absent: the keys are fetched again.
    pub(super) fn decode(body: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(body).ok()?;
        let number = |name: &str| value.get(name)?.as_u64();
        let keys = match value.get("keys")? {
            Value::Null => None,
            keys => Some(Rc::new(KeySet {
                digest: keys.get("digest")?.as_str()?.to_owned(),
                document: keys.get("document")?.as_str()?.to_owned(),
                trusted_until: keys.get("trusted_until")?.as_u64()?,
                etag: keys.get("etag")?.as_str().map(str::to_owned),
            })),
        };
        Some(Self {
            keys,
            fetched_at: number("fetched_at")?,
            attempts: number("attempts")?,
            aged_at: number("aged_at")?,
            unknown_kid_at: number("unknown_kid_at")?,
            failures: u32::try_from(number("failures")?).ok()?,
            retry_at: number("retry_at")?,
            cause: value.get("cause")?.as_str()?.to_owned(),
        })
    }
}
