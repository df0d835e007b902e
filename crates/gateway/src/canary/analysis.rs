//! Whether a canary is worse than the version that it is to replace.

/// Fewest outcomes of a canary that allow a verdict.
pub const CANARY_OUTCOMES_MIN: u64 = 20;

/// The outcomes of one version, in one place or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Everything that was tried.
    pub total: u64,
    /// How much of it failed, for whatever reason.
    pub failed: u64,
    /// Failures that no outage explains: the version itself is wrong.
    pub wrong: u64,
    /// Successes that were checked as a client would see them.
    pub proven: u64,
}

/// The state of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Healthy,
    /// There is no verdict yet.
    TooFew {
        /// How many more outcomes are required.
        missing: u64,
    },
    /// It fails more often than the other version, or is wrong.
    Worse,
}

impl Verdict {
    /// Stable name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::TooFew { .. } => "too few outcomes",
            Self::Worse => "worse",
        }
    }
}

/// Compares a canary with the version that it is to replace.
///
/// A canary that was wrong once is worse, whatever else happened. Otherwise it needs [`CANARY_OUTCOMES_MIN`] outcomes,
/// one of them proven, and is worse if it fails more often than the other version.
///
/// ```
/// use vouchsafe_gateway::canary::{Outcomes, Verdict, judge};
///
/// let seen = |total, failed| Outcomes { total, failed, wrong: 0, proven: 1 };
/// assert_eq!(judge(seen(15, 0), seen(900, 1)), Verdict::TooFew { missing: 5 });
/// assert_eq!(judge(seen(20, 1), seen(900, 1)), Verdict::Worse);
/// assert_eq!(judge(seen(900, 1), seen(900, 1)), Verdict::Healthy);
/// ```
#[must_use]
pub fn judge(canary: impl Into<Outcomes>, current: impl Into<Outcomes>) -> Verdict {
    let (canary, current) = (canary.into(), current.into());
    if canary.wrong > 0 {
        return Verdict::Worse;
    }
    // Outcomes that nobody checked from outside say nothing about what clients see.
    let proofs_missing = u64::from(canary.proven == 0);
    let missing = CANARY_OUTCOMES_MIN.saturating_sub(canary.total);
    let missing = missing.max(proofs_missing);
    if missing > 0 {
        return Verdict::TooFew { missing };
    }
    // canary.failed / canary.total > current.failed / current.total, without rounding. A version of which nothing
    // was seen did not fail.
    let product = |failed: u64, total: u64| u128::from(failed).saturating_mul(total.into());
    if product(canary.failed, current.total.max(1)) > product(current.failed, canary.total) {
        Verdict::Worse
    } else {
        Verdict::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of the outcomes is proven.
    fn seen(total: u64, failed: u64) -> Outcomes {
        Outcomes { total, failed, wrong: 0, proven: 1 }
    }

    #[track_caller]
    fn check(canary: Outcomes, current: Outcomes, expected: Verdict) {
        assert_eq!(judge(canary, current), expected, "{canary:?} {current:?}");
    }

    #[test]
    fn needs_twenty_outcomes_and_a_proof() {
        let none = Outcomes::default();
        check(none, seen(9, 0), Verdict::TooFew { missing: 20 });
        check(seen(19, 0), seen(9, 0), Verdict::TooFew { missing: 1 });
        check(seen(20, 0), none, Verdict::Healthy);
        for total in [20, 10_000] {
            let unproven = Outcomes { total, ..none };
            check(unproven, seen(9, 0), Verdict::TooFew { missing: 1 });
        }
    }

    #[test]
    fn compares_failure_rates_without_rounding() {
        check(seen(20, 1), Outcomes::default(), Verdict::Worse);
        check(seen(20, 1), seen(1_000, 0), Verdict::Worse);
        check(seen(20, 1), seen(21, 1), Verdict::Worse);
        check(seen(20, 1), seen(20, 1), Verdict::Healthy);
        check(seen(200, 1), seen(20, 1), Verdict::Healthy);
        check(seen(21, 20), seen(21, 20), Verdict::Healthy);
    }

    #[test]
    fn one_wrong_outcome_is_worse() {
        let wrong = |total| Outcomes { wrong: 1, ..seen(total, 1) };
        for total in [1, 10_000] {
            check(wrong(total), wrong(total), Verdict::Worse);
        }
    }
}
