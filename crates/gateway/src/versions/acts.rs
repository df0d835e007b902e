//! What an operator can do with the versions of a key, and what has to be written for it.

use super::key_versions::{KeyVersions, PUBLISHED_MAX};
use super::record::{VersionRecord, VersionState as State};

/// What an operator asks for. Each can be asked again: where it is done already, nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make and publish the next version.
    Stage,
    /// Have the staged version sign for `share` percent of the workloads.
    Canary { share: u8 },
    /// Have the canary sign for all.
    Promote,
    /// Undo [`Act::Canary`], or [`Act::Promote`] while the version before is published. `from` is the
    /// version that is to sign no more: asked twice, it does not undo the act before, too.
    Rollback { from: Option<u64> },
    /// Take a version out: one that signs nothing more leaves the JWK Set once its tokens are over, a
    /// pending one (`version` names it) begins to.
    Retire {
        version: Option<u64>,
        /// Destroy the private key too, of the version that is named and retired.
        destroy: bool,
    },
}

impl Act {
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

/// What is done for an act, in this order. Every beginning of it is a valid state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// A version to make.
    pub create: Option<u64>,
    /// Records to write.
    pub writes: Vec<(u64, VersionRecord)>,
    /// A version whose private key is destroyed.
    pub destroy: Option<u64>,
    /// The version that the act is about.
    pub version: u64,
}

impl Plan {
    #[must_use]
    pub fn is_done_already(&self) -> bool {
        self.create.is_none() && self.writes.is_empty() && self.destroy.is_none()
    }

    fn about(version: u64) -> Self {
        Self {
            version,
            ..Self::default()
        }
    }
}

/// Why an act is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActFault {
    #[error("version {version} is the canary: promote it or roll it back first")]
    CanaryExists { version: u64 },
    #[error("the token has version {version} twice: it is not used")]
    Doubled { version: u64 },
    #[error("there is no version to {act}")]
    Nothing { act: &'static str },
    #[error("version {version} is not retired")]
    NotRetired { version: u64 },
    #[error("a share is 1 to 100 percent")]
    Share,
    #[error("version {version} signs tokens")]
    Signs { version: u64 },
    #[error("{PUBLISHED_MAX} versions are published: retire one first")]
    TooMany,
    #[error("verifiers may not know version {version} yet: {seconds_left} s are left")]
    TooEarly { version: u64, seconds_left: u64 },
    #[error("tokens of version {version} may live: {seconds_left} s are left")]
    TokensLive { version: u64, seconds_left: u64 },
    #[error("there is no version {version}")]
    Unknown { version: u64 },
    #[error("version {version} is {state}")]
    WrongState { version: u64, state: &'static str },
}

impl ActFault {
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
    /// What has to be done for `act` at `now` (Unix seconds), for a key whose tokens live
    /// `lifetime_seconds_max` at most.
    ///
    /// # Errors
    /// Why it must not be done.
    pub fn plan(&self, act: Act, now: u64, lifetime_seconds_max: u64) -> Result<Plan, ActFault> {
        let mut plan = match act {
            Act::Stage => self.stage(),
            Act::Canary { share } => self.make_canary(share, now, lifetime_seconds_max),
            Act::Promote => self.promote(now, lifetime_seconds_max),
            Act::Rollback { from } => self.roll_back(from, now),
            Act::Retire { version, destroy } => self.retire(version, destroy, now),
        }?;
        // What an act before this one began, and did not end, is ended first.
        let torn = self.torn.iter();
        let ended = torn.filter_map(|version| Some((*version, *self.get(*version)?)));
        plan.writes = ended.chain(plan.writes).collect();
        Ok(plan)
    }

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

    fn stage(&self) -> Result<Plan, ActFault> {
        if let Some((version, _)) = self.canary() {
            return Err(ActFault::CanaryExists { version });
        }
        if let Some(version) = self.staged() {
            return Ok(Plan::about(version));
        }
        if self.published().count() >= PUBLISHED_MAX {
            return Err(ActFault::TooMany);
        }
        // INVARIANT: above every number that was ever used.
        let used = self.iter().map(|(version, _)| version);
        let used = used.chain(self.destroyed()).chain(self.doubled());
        let last = used.max().unwrap_or(0);
        let version = last.checked_add(1).ok_or(ActFault::TooMany)?;
        Ok(Plan {
            create: Some(version),
            ..Plan::about(version)
        })
    }

    /// The pending version that may become the canary: the newest, and newer than the active one.
    fn staged(&self) -> Option<u64> {
        let pending = self.iter().filter(|(_, it)| it.state == State::Pending);
        let newest = pending.map(|(version, _)| version).max();
        newest.filter(|version| self.active().is_none_or(|active| *version > active))
    }

    fn make_canary(&self, share: u8, now: u64, lifetime: u64) -> Result<Plan, ActFault> {
        if !(1..=100).contains(&share) {
            return Err(ActFault::Share);
        }
        let act = Act::Canary { share }.name();
        if self.active().is_none() {
            return Err(ActFault::Nothing { act });
        }
        let nothing = ActFault::Nothing { act };
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

    fn promote(&self, now: u64, lifetime: u64) -> Result<Plan, ActFault> {
        let canary = self.canary().map(|(version, _)| version);
        // Where nothing signs yet there is nobody to try a version on.
        let first = || self.staged().filter(|_| self.active().is_none());
        let Some(version) = canary.or_else(first) else {
            let act = Act::Promote.name();
            if let Some(version) = self.staged() {
                let state = State::Pending.name();
                return Err(ActFault::WrongState { version, state });
            }
            // Done already, or nothing was ever staged: the active version tells.
            return self
                .active()
                .map(Plan::about)
                .ok_or(ActFault::Nothing { act });
        };
        let record = self.get(version).ok_or(ActFault::Unknown { version })?;
        known_to_verifiers(version, record, now)?;
        let since = self.after_all(now);
        let active = VersionRecord {
            state: State::Active,
            share: 0,
            since,
            lifetime_seconds: record.lifetime_seconds.max(lifetime),
            ..*record
        };
        // ORDER: the new one first. Between the two writes both are active, and the later one signs.
        let mut plan = self.write(Plan::about(version), version, active);
        if let Some(before) = self.active() {
            let retiring = self.get(before).map(|it| VersionRecord {
                state: State::Retiring,
                since,
                ..*it
            });
            plan.writes.extend(retiring.map(|it| (before, it)));
        }
        Ok(plan)
    }

    fn roll_back(&self, from: Option<u64>, now: u64) -> Result<Plan, ActFault> {
        let act = Act::Rollback { from }.name();
        let canary = self.canary().map(|(version, _)| version);
        let active = self.active();
        let version = from.or(canary).or(active);
        let version = version.ok_or(ActFault::Nothing { act })?;
        let record = self.known(version)?;
        let since = self.after_all(now);
        let pending = VersionRecord {
            state: State::Pending,
            share: 0,
            since,
            ..*record
        };
        if canary == Some(version) {
            return Ok(self.write(Plan::about(version), version, pending));
        }
        if active != Some(version) {
            return Ok(Plan::about(version));
        }
        let Some((before, record)) = self.signed_before(record) else {
            // Asked for by its number, there is nothing to go back to; else it may be done already.
            return match from {
                Some(_) => Err(ActFault::Nothing { act }),
                None => Ok(Plan::about(version)),
            };
        };
        let again = VersionRecord {
            state: State::Active,
            since,
            ..*record
        };
        // ORDER: as in a promotion.
        let mut plan = self.write(Plan::about(version), before, again);
        plan.writes.push((version, pending));
        Ok(plan)
    }

    /// The version whose place `active` took, if it is published still: both came into their state at
    /// once.
    fn signed_before(&self, active: &VersionRecord) -> Option<(u64, &VersionRecord)> {
        self.iter().find(|(_, it)| {
            it.state == State::Retiring && it.since == active.since && it.lifetime_seconds > 0
        })
    }

    fn retire(&self, version: Option<u64>, destroy: bool, now: u64) -> Result<Plan, ActFault> {
        let act = Act::Retire { version, destroy }.name();
        let Some(version) = version else {
            if destroy {
                return Err(ActFault::Nothing { act: "destroy" });
            }
            return self.retire_what_is_over(now, ActFault::Nothing { act });
        };
        if self.destroyed.contains(&version) {
            return Ok(Plan::about(version));
        }
        if destroy && self.doubled.contains_key(&version) {
            // Nothing of it is published or signs, whatever its two records say.
            return Ok(Plan {
                destroy: Some(version),
                ..Plan::about(version)
            });
        }
        let record = self.known(version)?;
        let mut plan = Plan::about(version);
        match record.state {
            State::Active | State::Canary => return Err(ActFault::Signs { version }),
            State::Pending if destroy => return Err(ActFault::NotRetired { version }),
            State::Pending => {
                let retiring = VersionRecord {
                    state: State::Retiring,
                    since: self.after_all(now),
                    ..*record
                };
                plan = self.write(plan, version, retiring);
            }
            State::Retiring => plan.writes.push((version, retired(version, record, now)?)),
            State::Retired => {}
        }
        plan.destroy = destroy.then_some(version);
        Ok(plan)
    }

    fn retire_what_is_over(&self, now: u64, nothing: ActFault) -> Result<Plan, ActFault> {
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

    /// INVARIANT: later than every change so far, also where clocks go back: of two active versions the
    /// later one signs.
    fn after_all(&self, now: u64) -> u64 {
        let changes = self.iter().map(|(_, it)| it.since);
        let last = changes.chain(self.doubled.values().copied()).max();
        let last = last.unwrap_or(0);
        now.max(last.saturating_add(1))
    }

    /// The record of a version that an admin named.
    fn known(&self, version: u64) -> Result<&VersionRecord, ActFault> {
        self.get(version).ok_or({
            if self.doubled.contains_key(&version) {
                ActFault::Doubled { version }
            } else {
                ActFault::Unknown { version }
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

fn known_to_verifiers(version: u64, record: &VersionRecord, now: u64) -> Result<(), ActFault> {
    let seconds_left = record.may_sign_at().saturating_sub(now);
    if seconds_left > 0 {
        return Err(ActFault::TooEarly {
            version,
            seconds_left,
        });
    }
    Ok(())
}

fn retired(version: u64, record: &VersionRecord, now: u64) -> Result<VersionRecord, ActFault> {
    let seconds_left = record.may_leave_at().saturating_sub(now);
    if seconds_left > 0 {
        return Err(ActFault::TokensLive {
            version,
            seconds_left,
        });
    }
    Ok(VersionRecord {
        state: State::Retired,
        since: now.max(record.since),
        ..*record
    })
}
