//! Warnings about the versions of a key: overdue operations and broken states.

use std::fmt;

use crate::rules::KeyRule;
use crate::versions::{KeyVersions, VersionState};

/// Age from which a canary is overdue: one day.
const CANARY_SECONDS_MAX: u64 = 86_400;
/// Age from which a pending version is overdue: one week.
const PENDING_SECONDS_MAX: u64 = 604_800;
/// How long after its tokens expired a retiring version is overdue: one day.
const RETIRING_SECONDS_MAX: u64 = 86_400;

/// A warning about the versions of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    ActiveOld { version: u64, days: u64 },
    CanaryOld { version: u64, hours: u64 },
    Doubled { version: u64 },
    NothingSigns,
    PendingOld { version: u64, days: u64 },
    RetiringOver { version: u64, hours: u64 },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActiveOld { version, days } => {
                write!(f, "version {version} has been active for {days} days: stage the next one")
            }
            Self::CanaryOld { version, hours } => {
                write!(f, "version {version} has been a canary for {hours} h: promote it or roll it back")
            }
            Self::Doubled { version } => write!(
                f,
                "duplicate PKCS#11 objects for version {version}; the version is not used: `retire --version {version} --destroy` destroys both"
            ),
            Self::NothingSigns => f.write_str("no version is active: tokens for this key are refused"),
            Self::PendingOld { version, days } => {
                write!(f, "version {version} has been pending for {days} days: make it the canary or retire it")
            }
            Self::RetiringOver { version, hours } => {
                write!(f, "version {version} could have been retired {hours} h ago")
            }
        }
    }
}

/// All warnings at `now` (Unix seconds), by version.
#[must_use]
pub fn warnings(rule: &KeyRule, versions: &KeyVersions, now: u64) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if versions.active().is_none() {
        warnings.push(Warning::NothingSigns);
    }
    let doubled = versions.doubled();
    warnings.extend(doubled.map(|version| Warning::Doubled { version }));
    for (version, record) in versions.iter() {
        let age = now.saturating_sub(record.since);
        let days = age.checked_div(86_400).unwrap_or(0);
        let hours = age.checked_div(3_600).unwrap_or(0);
        warnings.extend(match record.state {
            VersionState::Active if age > rule.age_seconds_max => Some(Warning::ActiveOld { version, days }),
            VersionState::Canary if age > CANARY_SECONDS_MAX => Some(Warning::CanaryOld { version, hours }),
            VersionState::Pending if age > PENDING_SECONDS_MAX => Some(Warning::PendingOld { version, days }),
            VersionState::Retiring => {
                let over = now.saturating_sub(record.may_leave_at());
                let hours = over.checked_div(3_600).unwrap_or(0);
                (over > RETIRING_SECONDS_MAX).then_some(Warning::RetiringOver { version, hours })
            }
            VersionState::Active | VersionState::Canary | VersionState::Pending | VersionState::Retired => None,
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::rules;
    use crate::versions::VersionRecord;

    const NOW: u64 = 1_800_000_000;

    #[track_caller]
    fn check(state: VersionState, age: u64, expected: &[Warning]) {
        let rules = rules("age_days_max = 90");
        let rule = rules.keys().next().unwrap();
        let record = VersionRecord { state, share: 0, ..VersionRecord::first(NOW - age, 900) };
        let versions = KeyVersions::new([(2, record)], []);
        let mut found = warnings(rule, &versions, NOW);
        found.retain(|it| *it != Warning::NothingSigns);
        assert_eq!(found, expected, "{state:?} for {age} s");
    }

    #[test]
    fn warns_when_a_state_is_overdue() {
        let day = 86_400;
        check(VersionState::Active, 90 * day, &[]);
        check(VersionState::Active, 90 * day + 1, &[Warning::ActiveOld { version: 2, days: 90 }]);
        check(VersionState::Canary, day, &[]);
        check(VersionState::Canary, day + 1, &[Warning::CanaryOld { version: 2, hours: 24 }]);
        check(VersionState::Pending, 7 * day, &[]);
        check(VersionState::Pending, 7 * day + 1, &[Warning::PendingOld { version: 2, days: 7 }]);
        check(VersionState::Retiring, day + 1_200, &[]);
        check(VersionState::Retiring, day + 1_201, &[Warning::RetiringOver { version: 2, hours: 24 }]);
        check(VersionState::Retired, 1_000 * day, &[]);
    }

    #[test]
    fn warns_of_key_without_active_version() {
        let rules = rules("");
        let versions = KeyVersions::default();
        let found = warnings(rules.keys().next().unwrap(), &versions, NOW);
        assert_eq!(found, [Warning::NothingSigns]);
        assert!(found[0].to_string().contains("refused"));
    }

    #[test]
    fn warns_of_duplicate_version_with_its_remedy() {
        let rules = rules("");
        let first = VersionRecord::first(NOW, 900);
        let versions = KeyVersions::new([(1, first)], []).with_doubled([(2, NOW)]);
        let found = warnings(rules.keys().next().unwrap(), &versions, NOW);
        assert_eq!(found, [Warning::Doubled { version: 2 }]);
        assert!(found[0].to_string().contains("--version 2 --destroy"));
    }
}
