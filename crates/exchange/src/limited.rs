//! Rate-limited tokens: those whose subject was denied too often get no decision until the minute ends.
//!
//! The store counts a subject's denials, and reports when one reaches the limit. An instance then remembers the token,
//! not the subject: several workloads can share a `sub`, and the denials of one must not lock out the others. A
//! forgotten token costs one more decision, which the store counts.

use crate::limits::{LIMITED_SECONDS_MAX, LIMITED_TOKENS_MAX};
use std::collections::BTreeMap;

/// At most [`LIMITED_TOKENS_MAX`] tokens by the digests of their signing inputs, each until at most
/// [`LIMITED_SECONDS_MAX`] from now.
#[derive(Debug, Default)]
pub struct LimitedTokens(BTreeMap<String, u64>);

impl LimitedTokens {
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The time until which the token gets no decision.
    #[must_use]
    pub fn until(&self, digest: &str, now: u64) -> Option<u64> {
        let until = self.0.get(digest).copied();
        until.filter(|until| holds(*until, now))
    }

    pub fn note(&mut self, digest: &str, until: u64, now: u64) {
        if !holds(until, now) {
            return;
        }
        if self.0.len() >= LIMITED_TOKENS_MAX {
            self.0.retain(|_, until| holds(*until, now));
        }
        if self.0.len() >= LIMITED_TOKENS_MAX {
            let first = self.0.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(digest, _)| digest.clone());
            first.and_then(|digest| self.0.remove(&digest));
        }
        self.0.insert(digest.to_owned(), until);
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether `until` is in the future, but not so far ahead that the clock must have been set back since.
fn holds(until: u64, now: u64) -> bool {
    now < until && until <= now.saturating_add(LIMITED_SECONDS_MAX)
}
