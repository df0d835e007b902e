//! All versions of one key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::record::{VersionRecord, VersionState};

/// Most versions of a key that may be published at once.
pub const PUBLISHED_MAX: usize = 5;

/// All versions of one key, made consistent whatever the PKCS#11 token contains.
///
/// ```
/// use vouchsafe_gateway::versions::{KeyOperation, KeyVersions, PUBLISHED_SECONDS_MIN, VersionRecord};
///
/// let (start, lifetime) = (1_800_000_000, 900);
/// let versions = KeyVersions::new([(1, VersionRecord::first(start, lifetime))], []);
/// let plan = versions.plan(KeyOperation::Stage, start, lifetime).unwrap();
/// let versions = versions.after(&plan, start);
/// assert_eq!(versions.to_string(), "1 active, 2 pending");
///
/// let canary = KeyOperation::Canary { share: 5 };
/// assert!(versions.plan(canary, start, lifetime).is_err(), "verifiers may not know version 2 yet");
/// let later = start + PUBLISHED_SECONDS_MIN;
/// let plan = versions.plan(canary, later, lifetime).unwrap();
/// assert_eq!(versions.after(&plan, later).to_string(), "1 active, 2 canary 5%");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyVersions {
    pub(super) versions: BTreeMap<u64, VersionRecord>,
    /// Versions whose record on the PKCS#11 token differs.
    pub(super) torn: BTreeSet<u64>,
    /// Versions whose private key was destroyed.
    pub(super) destroyed: BTreeSet<u64>,
    /// Versions with duplicates, and when one of the duplicates last changed its state.
    pub(super) doubled: BTreeMap<u64, u64>,
}

impl KeyVersions {
    /// From the records on the PKCS#11 token; of the `destroyed` versions only the public half is left.
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

    /// Adds versions with duplicates, which are not among the records, with when one of the duplicates last changed its
    /// state (Unix seconds).
    #[must_use]
    pub fn with_doubled(mut self, doubled: impl IntoIterator<Item = (u64, u64)>) -> Self {
        for (version, since) in doubled {
            let known = self.doubled.entry(version).or_default();
            *known = since.max(*known);
        }
        self
    }

    /// Leaves only the latest version in `state`; the others become `instead`.
    fn leave_one(&mut self, state: VersionState, instead: VersionState) {
        let Some((kept, since)) = self.latest(state) else {
            return;
        };
        for (version, record) in &mut self.versions {
            if record.state == state && *version != kept {
                record.state = instead;
                record.share = 0;
                // It may have signed until the other one replaced it.
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

    /// Whether no version was ever created.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.destroyed.is_empty() && self.doubled.is_empty()
    }

    /// The versions with duplicates.
    pub fn doubled(&self) -> impl Iterator<Item = u64> {
        self.doubled.keys().copied()
    }

    pub fn destroyed(&self) -> impl Iterator<Item = u64> {
        self.destroyed.iter().copied()
    }

    /// The version that signs for all workloads outside the canary's share.
    #[must_use]
    pub fn active(&self) -> Option<u64> {
        self.latest(VersionState::Active).map(|(version, _)| version)
    }

    /// The version that signs for a share of the workloads, and that share in percent.
    #[must_use]
    pub fn canary(&self) -> Option<(u64, u8)> {
        let (version, _) = self.latest(VersionState::Canary)?;
        Some((version, self.get(version)?.share))
    }

    /// The versions in the JWK Set.
    pub fn published(&self) -> impl Iterator<Item = u64> {
        self.iter().filter(|(_, it)| it.state.is_published()).map(|(version, _)| version)
    }

    /// The version that signs for a workload; `in_share` tells whether the workload is in a share.
    #[must_use]
    pub fn signer(&self, in_share: impl FnOnce(u8) -> bool) -> Option<u64> {
        match self.canary() {
            Some((version, share)) if in_share(share) => Some(version),
            Some(_) | None => self.active(),
        }
    }

    /// The records to write before tokens of `lifetime_seconds_max` may be signed. A version stays published until its
    /// longest token has expired, even if the limit is lowered meanwhile.
    #[must_use]
    pub fn longer_lives(&self, lifetime_seconds_max: u64) -> Vec<(u64, VersionRecord)> {
        let signs = |it: &VersionRecord| {
            matches!(it.state, VersionState::Active | VersionState::Canary)
                && it.lifetime_seconds < lifetime_seconds_max
        };
        let longer = |(version, it): (u64, &VersionRecord)| {
            let lifetime_seconds = lifetime_seconds_max;
            (version, VersionRecord { lifetime_seconds, ..*it })
        };
        self.iter().filter(|(_, it)| signs(it)).map(longer).collect()
    }
}

/// Shows for example `1 active, 2 canary 5%`.
impl fmt::Display for KeyVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: BTreeMap<u64, String> =
            self.destroyed().map(|version| (version, "destroyed".to_owned())).collect();
        words.extend(self.doubled().map(|it| (it, "doubled".to_owned())));
        words.extend(self.iter().map(|(version, it)| {
            let state = it.state.name();
            let word = match it.state {
                VersionState::Canary => format!("{state} {}%", it.share),
                _ => state.to_owned(),
            };
            (version, word)
        }));
        let words: Vec<_> = words.into_iter().map(|(version, word)| format!("{version} {word}")).collect();
        f.write_str(&words.join(", "))
    }
}
