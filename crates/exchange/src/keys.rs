//! Retrieval of an issuer's keys: from memory, the shared store, or one fetch.
//!
//! ARCHITECTURE.md lists the states and transitions; `tests/it/key_sets.rs` covers each.
//!
//! Invariants:
//! - Only configured issuers are ever fetched from.
//! - Aging keys and unknown `kid`s each cause at most one fetch per issuer and window across all instances that
//!   share the store; an instance that does not hold the lease waits for the one that does. Failures back off
//!   exponentially.
//! - Every copy carries the absolute `trusted_until` of its fetch. Only the issuer file's `stale_keys_max` extends
//!   it, and only while the issuer is unreachable.

mod reason;
mod shared;
mod waiting;

use crate::failure::Failure;
use crate::limits::{CLOCK_AHEAD_SECONDS_MAX, FETCH_BACKOFF_SECONDS_MAX, FETCH_WINDOW_MS, REFRESH_AHEAD_DIVISOR};
use crate::ports::{KnownKeys, Ports};
use crate::refusal::{Part, Refusal};
use reason::Reason;
use sha2::{Digest, Sha256};
use shared::Shared;
use std::cell::Cell;
use std::rc::Rc;
use vouchsafe_types::{BundleInfo, IssuerRecord, KeySet};

const WINDOW_SECONDS: u64 = FETCH_WINDOW_MS / 1000;
/// Longest failure cause that instances share.
const CAUSE_CHARS_MAX: usize = 256;

/// The keys of one issuer, for one request.
pub struct Keys<'a, P> {
    ports: &'a P,
    bundle: &'a BundleInfo,
    issuer: &'a Rc<IssuerRecord>,
    id: String,
    now: u64,
    /// Whether this request has fetched already; one fetch per request is enough.
    fetched: Cell<bool>,
}

/// Refreshes the keys of `issuer` ahead of time, if they are aging and no other instance has.
///
/// # Errors
/// The fetch or the store failed. Best effort: callers drop the error.
pub async fn refresh<P: Ports>(
    ports: &P,
    bundle: &BundleInfo,
    issuer: &Rc<IssuerRecord>,
    now: u64,
) -> Result<(), Failure> {
    let keys = Keys::of(ports, bundle, issuer, now);
    let shared = keys.shared().await?;
    if let Some(known) = keys.known(&shared)
        && !keys.is_aging(&known)
    {
        keys.ports.remember_keys(&keys.id, &known);
        return Ok(());
    }
    if keys.backs_off(&shared) || keys.within_window(shared.aged_at) {
        return Ok(());
    }
    let lease = Reason::Age.lease(&keys.id);
    if ports.lease(&lease, FETCH_WINDOW_MS).await? {
        keys.fetch(shared, Reason::Age).await?;
    }
    Ok(())
}

impl<'a, P: Ports> Keys<'a, P> {
    pub fn of(ports: &'a P, bundle: &'a BundleInfo, issuer: &'a Rc<IssuerRecord>, now: u64) -> Self {
        // The bundle is part of the id: keys fetched under another bundle's configuration are not reused.
        let id = hex(&Sha256::new()
            .chain_update(bundle.digest.as_bytes())
            .chain_update([0])
            .chain_update(issuer.issuer.as_bytes())
            .finalize());
        Self { ports, bundle, issuer, id, now, fetched: Cell::new(false) }
    }

    /// Keys that are trusted now.
    pub async fn trusted(&self) -> Result<Rc<KeySet>, Failure> {
        if let Some(known) = self.ports.remembered_keys(&self.id).filter(|known| self.trusts(&known.keys)) {
            return Ok(self.hand_out(known));
        }
        if self.issuer.has_pinned_keys() {
            let keys = Rc::new(self.ports.fetch_keys(self.issuer, None, self.now).await?);
            let known = KnownKeys { refresh_at: keys.trusted_until, keys, unknown_kid_at: 0 };
            self.ports.remember_keys(&self.id, &known);
            return Ok(known.keys);
        }
        let shared = self.shared().await?;
        if let Some(known) = self.known(&shared) {
            self.ports.remember_keys(&self.id, &known);
            return Ok(self.hand_out(known));
        }
        let stale = self.stale(&shared);
        match self.renew(shared, Reason::Age).await {
            Err(failure) if failure.refusal == Refusal::Unavailable(Part::Issuer) => stale.ok_or(failure),
            renewed => renewed,
        }
    }

    /// Keys newer than `used`, which lack a token's `kid`; `None` if there are none.
    pub async fn newer_than(&self, used: &KeySet) -> Result<Option<Rc<KeySet>>, Failure> {
        if self.issuer.has_pinned_keys() || self.fetched.get() {
            return Ok(None);
        }
        // Within the window, further unknown `kid`s are answered from memory.
        let remembered = self.ports.remembered_keys(&self.id);
        if remembered.is_some_and(|known| known.keys.digest == used.digest && self.within_window(known.unknown_kid_at))
        {
            return Ok(None);
        }
        let shared = self.shared().await?;
        if let Some(known) = self.known(&shared).filter(|known| known.keys.digest != used.digest) {
            self.ports.remember_keys(&self.id, &known);
            return Ok(Some(known.keys));
        }
        let renewed = self.renew(shared, Reason::UnknownKid).await?;
        Ok(Some(renewed).filter(|keys| keys.digest != used.digest))
    }

    fn trusts(&self, keys: &KeySet) -> bool {
        self.now < keys.trusted_until
    }

    fn is_aging(&self, known: &KnownKeys) -> bool {
        known.refresh_at <= self.now
    }

    /// Returns the keys, and schedules a refresh if they are aging.
    fn hand_out(&self, known: KnownKeys) -> Rc<KeySet> {
        if self.is_aging(&known) && !self.issuer.has_pinned_keys() {
            // Once per instance and window.
            let again = KnownKeys { refresh_at: self.now.saturating_add(WINDOW_SECONDS), ..known.clone() };
            self.ports.remember_keys(&self.id, &again);
            self.ports.refresh_later(self.bundle, self.issuer);
        }
        known.keys
    }

    /// The store's keys, if trusted now, with this instance's own refresh time.
    fn known(&self, shared: &Shared) -> Option<KnownKeys> {
        let keys = shared.keys.clone().filter(|keys| self.trusts(keys))?;
        let life = keys.trusted_until.saturating_sub(shared.fetched_at);
        // Between an eighth and a quarter of their lifetime early, so that brokers that started together do not refresh
        // together.
        let ahead_max = life / REFRESH_AHEAD_DIVISOR;
        let spread = (ahead_max / 2).saturating_add(1);
        let ahead = ahead_max.saturating_sub(self.ports.jitter().checked_rem(spread).unwrap_or(0));
        Some(KnownKeys {
            refresh_at: keys.trusted_until.saturating_sub(ahead),
            keys,
            unknown_kid_at: shared.unknown_kid_at,
        })
    }

    /// Expired keys, for as long as the issuer's file accepts them while the issuer is unreachable.
    ///
    /// INVARIANT: not remembered, so each use is decided anew; the store keeps the time of the fetch.
    fn stale(&self, shared: &Shared) -> Option<Rc<KeySet>> {
        let keys = shared.keys.as_deref()?;
        let trusted_until = keys.trusted_until.saturating_add(self.issuer.stale_keys_max_seconds);
        let keys = KeySet { trusted_until, ..keys.clone() };
        Some(Rc::new(keys)).filter(|keys| self.trusts(keys))
    }

    /// Whether an attempt at second `at` falls into the current window. Both ends are inclusive: the lease expires
    /// during the last second.
    fn within_window(&self, at: u64) -> bool {
        self.is_past(at) && self.now.saturating_sub(at) <= WINDOW_SECONDS
    }

    /// Rejects times too far ahead, which come from a clock that was wrong.
    fn is_past(&self, at: u64) -> bool {
        at <= self.now.saturating_add(CLOCK_AHEAD_SECONDS_MAX)
    }

    fn backs_off(&self, shared: &Shared) -> bool {
        self.now <= shared.retry_at
    }

    async fn renew(&self, before: Shared, reason: Reason) -> Result<Rc<KeySet>, Failure> {
        if self.backs_off(&before) {
            return Err(unavailable(&before));
        }
        if self.within_window(before.last_attempt(reason)) {
            return self.outcome(&before);
        }
        if self.ports.lease(&reason.lease(&self.id), FETCH_WINDOW_MS).await? {
            return self.fetch(before, reason).await;
        }
        // Another instance is fetching, or has within the window: its result is shared.
        self.outcome_of_another(&before, reason).await
    }

    /// The result of another instance's attempt.
    fn outcome(&self, shared: &Shared) -> Result<Rc<KeySet>, Failure> {
        let known = self.known(shared).filter(|_| !self.backs_off(shared));
        let known = known.ok_or_else(|| unavailable(shared))?;
        self.ports.remember_keys(&self.id, &known);
        Ok(known.keys)
    }

    async fn fetch(&self, before: Shared, reason: Reason) -> Result<Rc<KeySet>, Failure> {
        self.fetched.set(true);
        // For an unknown `kid`, caches must be bypassed, so no ETag is sent.
        let known = before.keys.as_deref().filter(|_| reason == Reason::Age);
        let fetched = self.ports.fetch_keys(self.issuer, known, self.now).await;
        let fetched = fetched.map(Rc::new);
        // ORDER: read again, then write. A fetch for the other reason may have finished while this one was waiting, and
        // its result must not be undone.
        let latest = self.shared().await?;
        let overtaken = latest.attempts != before.attempts && latest.fetched_at >= self.now;
        let after = self.after(latest, reason, overtaken, fetched.as_ref());
        let trusted_until = after
            .keys
            .as_ref()
            .map_or(self.now, |keys| keys.trusted_until.saturating_add(self.issuer.stale_keys_max_seconds));
        let keep_until = trusted_until.saturating_add(3600);
        self.ports.put_document(&self.name(), after.encode(), keep_until).await?;
        // ORDER: after the keys, which waiting requests read next.
        self.count_attempts(after.attempts, keep_until).await;
        match self.known(&after) {
            Some(known) if overtaken || fetched.is_ok() => {
                self.ports.remember_keys(&self.id, &known);
                Ok(known.keys)
            }
            Some(_) | None => fetched,
        }
    }

    /// The document to store after an attempt; `overtaken` if one that began later has finished already.
    fn after(&self, latest: Shared, reason: Reason, overtaken: bool, fetched: Result<&Rc<KeySet>, &Failure>) -> Shared {
        let mut after = Shared { attempts: latest.attempts.saturating_add(1), ..latest };
        match reason {
            Reason::Age => after.aged_at = after.aged_at.max(self.now),
            Reason::UnknownKid => after.unknown_kid_at = after.unknown_kid_at.max(self.now),
        }
        if overtaken {
            return after;
        }
        match fetched {
            Ok(keys) => {
                after.keys = Some(keys.clone());
                after.fetched_at = self.now;
                after.failures = 0;
                after.retry_at = 0;
                after.cause.clear();
            }
            Err(failure) => {
                after.cause = failure.detail.chars().take(CAUSE_CHARS_MAX).collect();
                after.failures = after.failures.saturating_add(1);
                after.retry_at = self.now.saturating_add(backoff_seconds(after.failures));
            }
        }
        after
    }

    async fn shared(&self) -> Result<Shared, Failure> {
        let body = self.ports.document(&self.name()).await?;
        let shared = body.as_deref().and_then(Shared::decode);
        // A fetch by a clock that was ahead must not prolong trust.
        let mut shared = shared.filter(|shared| self.is_past(shared.fetched_at)).unwrap_or_default();
        // Nor may it block fetches for everyone. Such a time is discarded, not lowered to the latest plausible one,
        // which would move with each read.
        if !self.is_past(shared.retry_at.saturating_sub(FETCH_BACKOFF_SECONDS_MAX)) {
            shared.retry_at = 0;
        }
        for attempted_at in [&mut shared.aged_at, &mut shared.unknown_kid_at] {
            if !self.is_past(*attempted_at) {
                *attempted_at = 0;
            }
        }
        Ok(shared)
    }

    fn name(&self) -> String {
        format!("keys/{}", self.id)
    }
}

/// 10, 20, 40, then 60 seconds: the backoff doubles with each failure.
fn backoff_seconds(failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(8);
    (WINDOW_SECONDS << doublings).min(FETCH_BACKOFF_SECONDS_MAX)
}

/// The failure of the last attempt, without contacting the issuer again.
fn unavailable(shared: &Shared) -> Failure {
    Failure {
        refusal: Refusal::Unavailable(Part::Issuer),
        detail: match shared.cause.as_str() {
            "" => "timed out waiting for another request's fetch of the issuer's keys".to_owned(),
            cause => format!("{cause}; backing off before the next attempt"),
        },
    }
}

/// Encodes as lowercase hex.
pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
