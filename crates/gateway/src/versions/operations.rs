//! Operations on the versions of a key, planned as lists of writes.

use super::key_versions::{KeyVersions, PUBLISHED_MAX};
use super::record::{VersionRecord, VersionState as State};

/// An operation on the versions of a key. All are idempotent: repeating one writes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOperation {
    /// Create and publish the next version.
    Stage,
    /// Let the staged version sign for `share` percent of the workloads.
    Canary { share: u8 },
    /// Let the canary sign for all workloads.
    Promote,
    /// Undo [`KeyOperation::Canary`], or [`KeyOperation::Promote`] while the previous version is still published. `from` is the version
    /// that stops signing; with it, a repeated rollback does not undo an earlier operation too.
    Rollback { from: Option<u64> },
    /// Withdraw a version. A retiring version leaves the JWK Set once its tokens have expired; a pending one, named by
    /// `version`, becomes retiring.
    Retire {
        version: Option<u64>,
        /// Also destroy the private key of the named, retired version.
        destroy: bool,
    },
}

impl KeyOperation {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Canary { .. } => "canary",
            Self::Promote => "promote",
            Self::Rollback { .. } => "rollback",
            Self::Retire { .. } => "retire",
        }
    }
}

/// The steps of an operation, in order. Every prefix leaves a valid state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The version to create.
    pub create: Option<u64>,
    /// The records to write.
    pub writes: Vec<(u64, VersionRecord)>,
    /// The version whose private key is to be destroyed.
    pub destroy: Option<u64>,
    /// The version that the operation concerns.
    pub version: u64,
}

impl Plan {
    #[must_use]
    pub fn is_done_already(&self) -> bool {
        self.create.is_none() && self.writes.is_empty() && self.destroy.is_none()
    }

    fn about(version: u64) -> Self {
        Self { version, ..Self::default() }
    }
}

/// Why an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    #[error("version {version} is the canary: promote it or roll it back first")]
    CanaryExists { version: u64 },
    #[error("duplicate PKCS#11 objects for version {version}; the version is not used")]
    Doubled { version: u64 },
    #[error("there is no version to {operation}")]
    Nothing { operation: &'static str },
    #[error("version {version} is not retired")]
    NotRetired { version: u64 },
    #[error("the share is not 1 to 100 percent")]
    Share,
    #[error("version {version} signs tokens")]
    Signs { version: u64 },
    #[error("{PUBLISHED_MAX} versions are published: retire one first")]
    TooMany,
    #[error("verifiers may not know version {version} yet: wait {seconds_left} s")]
    TooEarly { version: u64, seconds_left: u64 },
    #[error("tokens of version {version} may still be valid: wait {seconds_left} s")]
    TokensLive { version: u64, seconds_left: u64 },
    #[error("there is no version {version}")]
    Unknown { version: u64 },
    #[error("version {version} is {state}")]
    WrongState { version: u64, state: &'static str },
}

impl OperationError {
    /// Stable name for the wire, the log and tests.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::CanaryExists { .. } => "version.canary_exists",
            Self::Doubled { .. } => "version.doubled",
            Self::Nothing { .. } => "version.nothing",
            Self::NotRetired { .. } => "version.not_retired",
            Self::Share => "version.share",
            Self::Signs { .. } => "version.signs",
            Self::TooMany => "version.too_many",
            Self::TooEarly { .. } => "version.too_early",
            Self::TokensLive { .. } => "version.tokens_live",
            Self::Unknown { .. } => "version.unknown",
            Self::WrongState { .. } => "version.wrong_state",
        }
    }
}

impl KeyVersions {
    /// Plans `operation` at `now` (Unix seconds), for a key whose tokens live `lifetime_seconds_max` at most.
    ///
    /// # Errors
    /// Why the operation is not allowed.
    pub fn plan(&self, operation: KeyOperation, now: u64, lifetime_seconds_max: u64) -> Result<Plan, OperationError> {
        let mut plan = match operation {
            KeyOperation::Stage => self.stage(),
            KeyOperation::Canary { share } => self.make_canary(share, now, lifetime_seconds_max),
            KeyOperation::Promote => self.promote(now, lifetime_seconds_max),
            KeyOperation::Rollback { from } => self.roll_back(from, now),
            KeyOperation::Retire { version, destroy } => self.retire(version, destroy, now),
        }?;
        // An earlier operation that was interrupted is completed first.
        let torn = self.torn.iter();
        let ended = torn.filter_map(|version| Some((*version, *self.get(*version)?)));
        plan.writes = ended.chain(plan.writes).collect();
        Ok(plan)
    }

    /// The versions after `plan` was carried out at `now` (Unix seconds).
    #[must_use]
    pub fn after(&self, plan: &Plan, now: u64) -> Self {
        let mut records = self.versions.clone();
        let mut destroyed = self.destroyed.clone();
        let mut doubled = self.doubled.clone();
        records.extend(plan.create.map(|version| (version, VersionRecord::pending(now))));
        records.extend(plan.writes.iter().copied());
        if let Some(version) = plan.destroy {
            records.remove(&version);
            doubled.remove(&version);
            destroyed.insert(version);
        }
        Self::new(records, destroyed).with_doubled(doubled)
    }

    fn stage(&self) -> Result<Plan, OperationError> {
        if let Some((version, _)) = self.canary() {
            return Err(OperationError::CanaryExists { version });
        }
        if let Some(version) = self.staged() {
            return Ok(Plan::about(version));
        }
        if self.published().count() >= PUBLISHED_MAX {
            return Err(OperationError::TooMany);
        }
        // INVARIANT: higher than every number that was ever used.
        let used = self.iter().map(|(version, _)| version);
        let used = used.chain(self.destroyed()).chain(self.doubled());
        let last = used.max().unwrap_or(0);
        let version = last.checked_add(1).ok_or(OperationError::TooMany)?;
        Ok(Plan { create: Some(version), ..Plan::about(version) })
    }

    /// The pending version that may become the canary: the newest one, if it is newer than the active one.
    fn staged(&self) -> Option<u64> {
        let pending = self.iter().filter(|(_, it)| it.state == State::Pending);
        let newest = pending.map(|(version, _)| version).max();
        newest.filter(|version| self.active().is_none_or(|active| *version > active))
    }

    fn make_canary(&self, share: u8, now: u64, lifetime: u64) -> Result<Plan, OperationError> {
        if !(1..=100).contains(&share) {
            return Err(OperationError::Share);
        }
        let operation = KeyOperation::Canary { share }.name();
        if self.active().is_none() {
            return Err(OperationError::Nothing { operation });
        }
        let nothing = OperationError::Nothing { operation };
        let current = self.canary().map(|(version, _)| version);
        let version = current.or_else(|| self.staged()).ok_or(nothing)?;
        let record = self.get(version).ok_or(nothing)?;
        known_to_verifiers(version, record, now)?;
        let since = match record.state {
            State::Canary => record.since,
            _ => self.after_all(now),
        };
        let changed = VersionRecord {
            state: State::Canary,
            share,
            since,
            lifetime_seconds: record.lifetime_seconds.max(lifetime),
            ..*record
        };
        Ok(self.write(Plan::about(version), version, changed))
    }

    fn promote(&self, now: u64, lifetime: u64) -> Result<Plan, OperationError> {
        let canary = self.canary().map(|(version, _)| version);
        // While nothing signs, no canary is possible.
        let first = || self.staged().filter(|_| self.active().is_none());
        let Some(version) = canary.or_else(first) else {
            let operation = KeyOperation::Promote.name();
            if let Some(version) = self.staged() {
                let state = State::Pending.name();
                return Err(OperationError::WrongState { version, state });
            }
            // Already done, or nothing was ever staged; the active version shows which.
            return self.active().map(Plan::about).ok_or(OperationError::Nothing { operation });
        };
        let record = self.get(version).ok_or(OperationError::Unknown { version })?;
        known_to_verifiers(version, record, now)?;
        let since = self.after_all(now);
        let active = VersionRecord {
            state: State::Active,
            share: 0,
            since,
            lifetime_seconds: record.lifetime_seconds.max(lifetime),
            ..*record
        };
        // ORDER: the new version first. Between the two writes both are active, and the later one signs.
        let mut plan = self.write(Plan::about(version), version, active);
        if let Some(before) = self.active() {
            let retiring = self.get(before).map(|it| VersionRecord { state: State::Retiring, since, ..*it });
            plan.writes.extend(retiring.map(|it| (before, it)));
        }
        Ok(plan)
    }

    fn roll_back(&self, from: Option<u64>, now: u64) -> Result<Plan, OperationError> {
        let operation = KeyOperation::Rollback { from }.name();
        let canary = self.canary().map(|(version, _)| version);
        let active = self.active();
        let version = from.or(canary).or(active);
        let version = version.ok_or(OperationError::Nothing { operation })?;
        let record = self.known(version)?;
        let since = self.after_all(now);
        let pending = VersionRecord { state: State::Pending, share: 0, since, ..*record };
        if canary == Some(version) {
            return Ok(self.write(Plan::about(version), version, pending));
        }
        if active != Some(version) {
            return Ok(Plan::about(version));
        }
        let Some((before, record)) = self.signed_before(record) else {
            // With a number, there is nothing to go back to; without one, it may be done already.
            return match from {
                Some(_) => Err(OperationError::Nothing { operation }),
                None => Ok(Plan::about(version)),
            };
        };
        let again = VersionRecord { state: State::Active, since, ..*record };
        // ORDER: as in `promote`.
        let mut plan = self.write(Plan::about(version), before, again);
        plan.writes.push((version, pending));
        Ok(plan)
    }

    /// The version that `active` replaced, if it is still published. Both changed state at the same time.
    fn signed_before(&self, active: &VersionRecord) -> Option<(u64, &VersionRecord)> {
        self.iter().find(|(_, it)| it.state == State::Retiring && it.since == active.since && it.lifetime_seconds > 0)
    }

    fn retire(&self, version: Option<u64>, destroy: bool, now: u64) -> Result<Plan, OperationError> {
        let operation = KeyOperation::Retire { version, destroy }.name();
        let Some(version) = version else {
            if destroy {
                return Err(OperationError::Nothing { operation: "destroy" });
            }
            return self.retire_what_is_over(now, OperationError::Nothing { operation });
        };
        if self.destroyed.contains(&version) {
            return Ok(Plan::about(version));
        }
        if destroy && self.doubled.contains_key(&version) {
            // It is neither published nor signs, whatever its two records say.
            return Ok(Plan { destroy: Some(version), ..Plan::about(version) });
        }
        let record = self.known(version)?;
        let mut plan = Plan::about(version);
        match record.state {
            State::Active | State::Canary => return Err(OperationError::Signs { version }),
            State::Pending if destroy => return Err(OperationError::NotRetired { version }),
            State::Pending => {
                let retiring = VersionRecord { state: State::Retiring, since: self.after_all(now), ..*record };
                plan = self.write(plan, version, retiring);
            }
            State::Retiring => plan.writes.push((version, retired(version, record, now)?)),
            State::Retired => {}
        }
        plan.destroy = destroy.then_some(version);
        Ok(plan)
    }

    fn retire_what_is_over(&self, now: u64, nothing: OperationError) -> Result<Plan, OperationError> {
        let mut plan = Plan::default();
        let mut too_early = None;
        for (version, record) in self.iter().filter(|(_, it)| it.state == State::Retiring) {
            match retired(version, record, now) {
                Ok(record) => {
                    plan.version = version;
                    plan.writes.push((version, record));
                }
                Err(fault) => too_early = Some(fault),
            }
        }
        if let (true, Some(fault)) = (plan.writes.is_empty(), too_early) {
            return Err(fault);
        }
        if plan.writes.is_empty() {
            let retired = self.iter().filter(|(_, it)| it.state == State::Retired);
            let retired = retired.map(|(version, _)| version);
            plan.version = retired.chain(self.destroyed()).max().ok_or(nothing)?;
        }
        Ok(plan)
    }

    /// INVARIANT: later than every change so far, even if clocks go back, because the later of two active versions signs.
    fn after_all(&self, now: u64) -> u64 {
        let changes = self.iter().map(|(_, it)| it.since);
        let last = changes.chain(self.doubled.values().copied()).max();
        let last = last.unwrap_or(0);
        now.max(last.saturating_add(1))
    }

    /// The record of the version that an admin named.
    fn known(&self, version: u64) -> Result<&VersionRecord, OperationError> {
        self.get(version).ok_or({
            if self.doubled.contains_key(&version) {
                OperationError::Doubled { version }
            } else {
                OperationError::Unknown { version }
            }
        })
    }

    /// Adds a write, unless it would change nothing.
    fn write(&self, mut plan: Plan, version: u64, record: VersionRecord) -> Plan {
        if self.get(version) != Some(&record) {
            plan.writes.push((version, record));
        }
        plan
    }
}

fn known_to_verifiers(version: u64, record: &VersionRecord, now: u64) -> Result<(), OperationError> {
    let seconds_left = record.may_sign_at().saturating_sub(now);
    if seconds_left > 0 {
        return Err(OperationError::TooEarly { version, seconds_left });
    }
    Ok(())
}

fn retired(version: u64, record: &VersionRecord, now: u64) -> Result<VersionRecord, OperationError> {
    let seconds_left = record.may_leave_at().saturating_sub(now);
    if seconds_left > 0 {
        return Err(OperationError::TokensLive { version, seconds_left });
    }
    Ok(VersionRecord { state: State::Retired, since: now.max(record.since), ..*record })
}
