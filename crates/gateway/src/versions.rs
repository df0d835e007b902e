//! Versions of a key that signs tokens, and how they follow each other: `pending → canary → active →
//! retiring → retired`.
//!
//! Each version's state is kept on the HSM token, in the `CKA_ID` of its private key, so that all gateways
//! of a token agree. A token takes one write at a time and can't compare before it writes: an act is a
//! list of writes in an order of which every beginning is a valid state. The one thing that a beginning
//! can leave is two versions that say `active`; then the one that became so last signs, and the other
//! counts as retiring.
//!
//! A version that the token has twice, as two gateways that make one at once can leave it, neither signs
//! nor is published: which of the two is meant can't be known.
//!
//! Does not read a clock: the moment is passed in.
//!
//! Invariants, for whatever acts in whatever order: at most one version is active and one a canary; a
//! version that signs was published for [`PUBLISHED_SECONDS_MIN`] (but for the first one, which no
//! verifier can have missed); one that has signed is published until every token of it is over; a retired
//! version never signs nor is published again; no number is used twice.

mod acts;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use vouchsafe_signer::MAX_AGE_SECONDS;

pub use acts::{Act, ActFault, Plan};
pub use record::{RECORD_BYTES, VersionRecord, VersionState};

use crate::CLOCK_SKEW_SECONDS_MAX;
use crate::client::KEYS_FRESH_SECONDS;

/// How old a gateway's knowledge of the states may be when it signs.
pub const STATES_FRESH_SECONDS: u64 = 5;
/// For how long a version is published before it signs: for as long as a verifier may keep a set
/// that lacks it, the broker may have made that set without it, the gateway may not have known of it, and
/// the clocks of two gateways may differ.
pub const PUBLISHED_SECONDS_MIN: u64 =
    MAX_AGE_SECONDS + KEYS_FRESH_SECONDS + STATES_FRESH_SECONDS + 2 * CLOCK_SKEW_SECONDS_MAX;
/// For how long a version is published after it signed, beyond the longest life of its tokens. Clocks
/// that differ, an `iat` ahead and a verifier's leeway are within it.
pub const WITHDRAWN_SECONDS_MIN: u64 = MAX_AGE_SECONDS;
/// Most versions of a key that are published at once.
pub const PUBLISHED_MAX: usize = 5;

/// All versions of one key, as they are to be read: consistent, whatever the token has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyVersions {
    versions: BTreeMap<u64, VersionRecord>,
    /// Versions whose record on the token says something else.
    torn: BTreeSet<u64>,
    /// Numbers of versions whose private key was destroyed.
    destroyed: BTreeSet<u64>,
    /// Numbers of versions that the token has twice, with when one of the two last came into its state.
    doubled: BTreeMap<u64, u64>,
}

impl KeyVersions {
    /// From what the token has; `destroyed` are the numbers of which only a public half is left.
    #[must_use]
    pub fn new(
        records: impl IntoIterator<Item = (u64, VersionRecord)>,
        destroyed: impl IntoIterator<Item = u64>,
    ) -> Self {
        let mut this = Self {
            versions: records.into_iter().collect(),
            torn: BTreeSet::new(),
            destroyed: destroyed.into_iter().collect(),
            doubled: BTreeMap::new(),
        };
        this.leave_one(VersionState::Active, VersionState::Retiring);
        this.leave_one(VersionState::Canary, VersionState::Pending);
        this
    }

    /// The same with versions that the token has twice, each with when one of the two last came into its
    /// state (Unix seconds). None of them is among the records.
    #[must_use]
    pub fn with_doubled(mut self, doubled: impl IntoIterator<Item = (u64, u64)>) -> Self {
        for (version, since) in doubled {
            let known = self.doubled.entry(version).or_default();
            *known = since.max(*known);
        }
        self
    }

    /// Of several versions in `state`, the one that came into it last stays; the others are `instead`.
    fn leave_one(&mut self, state: VersionState, instead: VersionState) {
        let Some((kept, since)) = self.latest(state) else {
            return;
        };
        for (version, record) in &mut self.versions {
            if record.state == state && *version != kept {
                record.state = instead;
                record.share = 0;
                // It may have signed until the other one took its place.
                record.since = since.max(record.since);
                self.torn.insert(*version);
            }
        }
    }

    fn latest(&self, state: VersionState) -> Option<(u64, u64)> {
        let of_state = self.versions.iter().filter(|(_, it)| it.state == state);
        let latest = of_state.max_by_key(|(version, it)| (it.since, **version));
        latest.map(|(version, it)| (*version, it.since))
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &VersionRecord)> {
        self.versions.iter().map(|(version, it)| (*version, it))
    }

    #[must_use]
    pub fn get(&self, version: u64) -> Option<&VersionRecord> {
        self.versions.get(&version)
    }

    /// No version was ever made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.destroyed.is_empty() && self.doubled.is_empty()
    }

    /// Versions that the token has twice.
    pub fn doubled(&self) -> impl Iterator<Item = u64> {
        self.doubled.keys().copied()
    }

    pub fn destroyed(&self) -> impl Iterator<Item = u64> {
        self.destroyed.iter().copied()
    }

    /// The version that signs for all but the canary's share.
    #[must_use]
    pub fn active(&self) -> Option<u64> {
        self.latest(VersionState::Active)
            .map(|(version, _)| version)
    }

    /// The version that signs for a share, and that share in percent.
    #[must_use]
    pub fn canary(&self) -> Option<(u64, u8)> {
        let (version, _) = self.latest(VersionState::Canary)?;
        Some((version, self.get(version)?.share))
    }

    /// Versions that verifiers are to know.
    pub fn published(&self) -> impl Iterator<Item = u64> {
        self.iter()
            .filter(|(_, it)| it.state.is_published())
            .map(|(version, _)| version)
    }

    /// The version that signs for a workload; `in_share` says whether it is in a share.
    #[must_use]
    pub fn signer(&self, in_share: impl FnOnce(u8) -> bool) -> Option<u64> {
        match self.canary() {
            Some((version, share)) if in_share(share) => Some(version),
            Some(_) | None => self.active(),
        }
    }

    /// Records to write because tokens of `lifetime_seconds_max` may be signed from now on, before any is:
    /// a version is published until the longest of them is over, also when the limit is lower by then.
    #[must_use]
    pub fn longer_lives(&self, lifetime_seconds_max: u64) -> Vec<(u64, VersionRecord)> {
        let signs = |it: &VersionRecord| {
            matches!(it.state, VersionState::Active | VersionState::Canary)
                && it.lifetime_seconds < lifetime_seconds_max
        };
        let longer = |(version, it): (u64, &VersionRecord)| {
            let lifetime_seconds = lifetime_seconds_max;
            (
                version,
                VersionRecord {
                    lifetime_seconds,
                    ..*it
                },
            )
        };
        self.iter()
            .filter(|(_, it)| signs(it))
            .map(longer)
            .collect()
    }
}

impl KeyVersions {
    /// As it is once `plan` was carried out at `now` (Unix seconds).
    #[must_use]
    pub fn after(&self, plan: &Plan, now: u64) -> Self {
        let mut records = self.versions.clone();
        let mut destroyed = self.destroyed.clone();
        let mut doubled = self.doubled.clone();
        records.extend(
            plan.create
                .map(|version| (version, VersionRecord::pending(now))),
        );
        records.extend(plan.writes.iter().copied());
        if let Some(version) = plan.destroy {
            records.remove(&version);
            doubled.remove(&version);
            destroyed.insert(version);
        }
        Self::new(records, destroyed).with_doubled(doubled)
    }
}

/// Such as `1 active, 2 canary 5%`.
impl fmt::Display for KeyVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: BTreeMap<u64, String> = self
            .destroyed()
            .map(|version| (version, "destroyed".to_owned()))
            .collect();
        words.extend(self.doubled().map(|it| (it, "doubled".to_owned())));
        words.extend(self.iter().map(|(version, it)| {
            let state = it.state.name();
            let word = match it.state {
                VersionState::Canary => format!("{state} {}%", it.share),
                _ => state.to_owned(),
            };
            (version, word)
        }));
        let words: Vec<_> = words
            .into_iter()
            .map(|(version, word)| format!("{version} {word}"))
            .collect();
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
