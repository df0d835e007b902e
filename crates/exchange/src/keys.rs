//! Where the keys of an issuer come from: memory, the shared store, one fetch.
//!
//! Invariants:
//! - Only a configured issuer is ever fetched.
//! - Expired keys cause at most one fetch per issuer and window across all instances that share
//!   the store, and so do unknown `kid`s; whoever does not hold the lease waits for the one who
//!   does.
//! - Every copy carries the absolute `trusted_until` of its fetch.

use crate::limits::{FETCH_POLL_MS, FETCH_WAIT_MS, FETCH_WINDOW_MS};
use crate::ports::{Bundle, Failure, Issuer, KeySet, Ports, UnixSeconds};
use crate::refusal::{Part, Refusal};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::cell::Cell;

/// Why new keys are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Expired,
    UnknownKid,
}

impl Reason {
    fn lease(self, id: &str) -> String {
        match self {
            Self::Expired => format!("fetch-expired/{id}"),
            Self::UnknownKid => format!("fetch-unknown-kid/{id}"),
        }
    }
}

/// The keys of one issuer, for one request.
pub struct Keys<'a, P: Ports> {
    ports: &'a P,
    issuer: &'a Issuer<P::Record>,
    id: String,
    now: UnixSeconds,
    /// Whether this request fetched; one fetch is enough for it.
    fetched: Cell<bool>,
}

/// What the store keeps of an issuer: its keys, and when a fetch was last tried.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Shared {
    keys: Option<KeySet>,
    /// Grows with each attempt, so that waiting requests see that one ended.
    attempts: u64,
    /// When keys were last fetched because they had expired; 0 for never.
    expired_at: UnixSeconds,
    /// When they were last fetched because of an unknown `kid`; 0 for never.
    unknown_kid_at: UnixSeconds,
}

impl<'a, P: Ports> Keys<'a, P> {
    pub fn of(
        ports: &'a P,
        bundle: &Bundle,
        issuer: &'a Issuer<P::Record>,
        now: UnixSeconds,
    ) -> Self {
        // The bundle is part of the name: keys that were fetched under other rules are not reused.
        let id = hex(&Sha256::new()
            .chain_update(bundle.digest.as_bytes())
            .chain_update([0])
            .chain_update(issuer.iss.as_bytes())
            .finalize());
        Self {
            ports,
            issuer,
            id,
            now,
            fetched: Cell::new(false),
        }
    }

    /// Keys that are trusted now.
    pub async fn trusted(&self) -> Result<KeySet, Failure> {
        if let Some(keys) = self
            .ports
            .remembered_keys(&self.id)
            .filter(|keys| self.trusts(keys))
        {
            return Ok(keys);
        }
        if self.issuer.pinned {
            let keys = self.ports.fetch_keys(self.issuer, None, self.now).await?;
            self.ports.remember_keys(&self.id, &keys);
            return Ok(keys);
        }
        let shared = self.shared().await?;
        match &shared.keys {
            Some(keys) if self.trusts(keys) => {
                self.ports.remember_keys(&self.id, keys);
                Ok(keys.clone())
            }
            _ => self.renew(shared, Reason::Expired).await,
        }
    }

    /// Newer keys than `used`, in which a token's `kid` was not found; `None` where there are none.
    pub async fn newer_than(&self, used: &KeySet) -> Result<Option<KeySet>, Failure> {
        if self.issuer.pinned || self.fetched.get() {
            return Ok(None);
        }
        let shared = self.shared().await?;
        if let Some(keys) = shared
            .keys
            .as_ref()
            .filter(|keys| self.trusts(keys) && keys.digest != used.digest)
        {
            self.ports.remember_keys(&self.id, keys);
            return Ok(Some(keys.clone()));
        }
        let renewed = self.renew(shared, Reason::UnknownKid).await?;
        Ok(Some(renewed).filter(|keys| keys.digest != used.digest))
    }

    fn trusts(&self, keys: &KeySet) -> bool {
        self.now < keys.trusted_until
    }

    /// Whether an attempt at `at` used up the window that is running now.
    fn within_window(&self, at: UnixSeconds) -> bool {
        self.now.saturating_sub(at) < FETCH_WINDOW_MS / 1000
    }

    async fn renew(&self, before: Shared, reason: Reason) -> Result<KeySet, Failure> {
        if self
            .ports
            .lease(&reason.lease(&self.id), FETCH_WINDOW_MS)
            .await?
        {
            return self.fetch(before, reason).await;
        }
        // Somebody else fetches, or has within the window: what that gave is ours too.
        let mut waited_ms = 0;
        loop {
            let shared = self.shared().await?;
            let ended = shared.attempts != before.attempts
                || self.within_window(shared.last_attempt(reason));
            match shared.keys.filter(|keys| self.trusts(keys)) {
                Some(keys) if ended => {
                    self.ports.remember_keys(&self.id, &keys);
                    return Ok(keys);
                }
                _ if ended || waited_ms >= FETCH_WAIT_MS => return Err(unavailable()),
                _ => self.ports.pause(FETCH_POLL_MS).await,
            }
            waited_ms = waited_ms.saturating_add(FETCH_POLL_MS);
        }
    }

    async fn fetch(&self, before: Shared, reason: Reason) -> Result<KeySet, Failure> {
        self.fetched.set(true);
        // An unknown `kid` asks past every cache, so the etag is left out.
        let known = before.keys.as_ref().filter(|_| reason == Reason::Expired);
        let fetched = self.ports.fetch_keys(self.issuer, known, self.now).await;
        let after = Shared {
            keys: fetched.as_ref().ok().cloned().or(before.keys),
            attempts: before.attempts.saturating_add(1),
            expired_at: if reason == Reason::Expired {
                self.now
            } else {
                before.expired_at
            },
            unknown_kid_at: if reason == Reason::UnknownKid {
                self.now
            } else {
                before.unknown_kid_at
            },
        };
        let keep_until = after
            .keys
            .as_ref()
            .map_or(self.now, |keys| keys.trusted_until)
            .saturating_add(3600);
        self.ports
            .put_document(&self.name(), after.encode(), keep_until)
            .await?;
        if let Ok(keys) = &fetched {
            self.ports.remember_keys(&self.id, keys);
        }
        fetched
    }

    async fn shared(&self) -> Result<Shared, Failure> {
        let body = self.ports.document(&self.name()).await?;
        Ok(body.as_deref().and_then(Shared::decode).unwrap_or_default())
    }

    fn name(&self) -> String {
        format!("keys/{}", self.id)
    }
}

impl Shared {
    fn last_attempt(&self, reason: Reason) -> UnixSeconds {
        match reason {
            Reason::Expired => self.expired_at,
            Reason::UnknownKid => self.unknown_kid_at,
        }
    }

    fn encode(&self) -> String {
        json!({
            "keys": self.keys.as_ref().map(|keys| json!({
                "digest": keys.digest,
                "document": keys.document,
                "trusted_until": keys.trusted_until,
                "etag": keys.etag,
            })),
            "attempts": self.attempts,
            "expired_at": self.expired_at,
            "unknown_kid_at": self.unknown_kid_at,
        })
        .to_string()
    }

    /// A document that does not read as ours counts as absent: the keys are fetched again.
    fn decode(body: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(body).ok()?;
        let keys = match value.get("keys")? {
            Value::Null => None,
            keys => Some(KeySet {
                digest: keys.get("digest")?.as_str()?.to_owned(),
                document: keys.get("document")?.as_str()?.to_owned(),
                trusted_until: keys.get("trusted_until")?.as_u64()?,
                etag: keys.get("etag")?.as_str().map(str::to_owned),
            }),
        };
        Some(Self {
            keys,
            attempts: value.get("attempts")?.as_u64()?,
            expired_at: value.get("expired_at")?.as_u64()?,
            unknown_kid_at: value.get("unknown_kid_at")?.as_u64()?,
        })
    }
}

fn unavailable() -> Failure {
    Failure {
        refusal: Refusal::Unavailable(Part::Issuer),
        detail: "another request's fetch of the issuer's keys failed or did not end".to_owned(),
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| {
        DIGITS
            .get(usize::from(nibble))
            .copied()
            .map_or('0', char::from)
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
