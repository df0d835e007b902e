//! What instances tell each other of an issuer's keys, through a document of the store.

use super::reason::Reason;
use serde_json::{Value, json};
use std::rc::Rc;
use vouchsafe_types::KeySet;

/// What the store keeps of an issuer: its keys, and how the last attempts to have new ones went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shared {
    pub(super) keys: Option<Rc<KeySet>>,
    /// When `keys` were fetched.
    pub(super) fetched_at: u64,
    /// Grows with each attempt, so that waiting requests see that one ended.
    pub(super) attempts: u64,
    /// When keys were last fetched because of their age; 0 for never.
    pub(super) aged_at: u64,
    /// When they were last fetched because of an unknown `kid`; 0 for never.
    pub(super) unknown_kid_at: u64,
    /// Attempts that failed since one succeeded.
    pub(super) failures: u32,
    /// Until then nobody tries again; 0 after a success.
    pub(super) retry_at: u64,
    /// Why the last attempt failed, for logs; empty after a success. Holds no key, claim or credential, as no log line does.
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

    /// A document that does not read as ours counts as absent: the keys are fetched again.
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
