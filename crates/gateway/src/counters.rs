//! Whether a canary is worse than the version that it is to replace.

/// Fewest outcomes of a canary by which it is judged.
pub const CANARY_OUTCOMES_MIN: u64 = 20;

/// What was seen of one version, at one gateway or at several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Signatures that verified and left.
    pub signed: u64,
    /// Requests that the HSM did not sign.
    pub sign_failures: u64,
    /// Signatures that did not verify with the version's own public key, and were withheld.
    pub verify_failures: u64,
    /// Probes that verified with the JWK Set that verifiers fetch.
    pub probes: u64,
    /// Probes that did not.
    pub probe_failures: u64,
}

impl Figures {
    #[must_use]
    pub fn outcomes(self) -> u64 {
        self.signed
            .saturating_add(self.probes)
            .saturating_add(self.failures())
    }

    #[must_use]
    pub fn failures(self) -> u64 {
        self.sign_failures.saturating_add(self.wrong())
    }

    /// Signatures that no outage explains: the key, or what is published of it, is wrong.
    #[must_use]
    pub fn wrong(self) -> u64 {
        self.verify_failures.saturating_add(self.probe_failures)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            signed: self.signed.saturating_add(other.signed),
            sign_failures: self.sign_failures.saturating_add(other.sign_failures),
            verify_failures: self.verify_failures.saturating_add(other.verify_failures),
            probes: self.probes.saturating_add(other.probes),
            probe_failures: self.probe_failures.saturating_add(other.probe_failures),
        }
    }
}

/// What the figures say of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many outcomes are wanting before it can be judged.
    TooFew {
        wanting: u64,
    },
    /// It fails more often than the active version, or gave a signature that does not verify.
    Worse,
    Healthy,
}

/// The rule: a canary with a wrong signature is worse, whatever else was seen; else it needs
/// [`CANARY_OUTCOMES_MIN`] outcomes, a probe among them, and is worse if its rate of failures is above the active version's.
#[must_use]
pub fn judge(canary: Figures, active: Figures) -> Verdict {
    if canary.wrong() > 0 {
        return Verdict::Worse;
    }
    // Signatures that left say nothing of the keys that verifiers have.
    let probes_wanting = u64::from(canary.probes == 0);
    let wanting = CANARY_OUTCOMES_MIN.saturating_sub(canary.outcomes());
    let wanting = wanting.max(probes_wanting);
    if wanting > 0 {
        return Verdict::TooFew { wanting };
    }
    // canary.failures / canary.outcomes > active.failures / active.outcomes, without rounding. A version
    // of which nothing was seen did not fail.
    let product =
        |failures: u64, outcomes: u64| u128::from(failures).saturating_mul(outcomes.into());
    let of_canary = product(canary.failures(), active.outcomes().max(1));
    let of_active = product(active.failures(), canary.outcomes());
    if of_canary > of_active {
        Verdict::Worse
    } else {
        Verdict::Healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of the outcomes is a probe.
    fn seen(outcomes: u64, sign_failures: u64) -> Figures {
        Figures {
            signed: outcomes.saturating_sub(1),
            probes: 1,
            sign_failures,
            ..Figures::default()
        }
    }

    #[track_caller]
    fn check(canary: Figures, active: Figures, expected: Verdict) {
        assert_eq!(judge(canary, active), expected, "{canary:?} {active:?}");
    }

    #[test]
    fn a_canary_is_judged_from_twenty_outcomes() {
        let none = Figures::default();
        check(none, seen(9, 0), Verdict::TooFew { wanting: 20 });
        check(seen(19, 0), seen(9, 0), Verdict::TooFew { wanting: 1 });
        check(seen(20, 0), seen(0, 0), Verdict::Healthy);
        let probes = Figures {
            probes: 16,
            ..seen(5, 0)
        };
        check(probes, seen(0, 0), Verdict::Healthy);
        let unprobed = |signed| Figures { signed, ..none };
        for signed in [20, 10_000] {
            let wanting = Verdict::TooFew { wanting: 1 };
            check(unprobed(signed), seen(9, 0), wanting);
        }
    }

    #[test]
    fn a_canary_is_worse_if_it_fails_more_often() {
        check(seen(19, 1), seen(0, 0), Verdict::Worse);
        check(seen(19, 1), seen(1_000, 0), Verdict::Worse);
        check(seen(19, 1), seen(20, 1), Verdict::Worse);
        check(seen(19, 1), seen(19, 1), Verdict::Healthy);
        check(seen(199, 1), seen(19, 1), Verdict::Healthy);
        check(seen(1, 20), seen(1, 20), Verdict::Healthy);
    }

    #[test]
    fn one_wrong_signature_is_enough() {
        for wrong in [
            Figures {
                verify_failures: 1,
                ..seen(0, 0)
            },
            Figures {
                probe_failures: 1,
                ..seen(10_000, 0)
            },
        ] {
            check(wrong, wrong, Verdict::Worse);
        }
    }

    #[test]
    fn figures_of_gateways_add_up() {
        let one = Figures {
            signed: 1,
            sign_failures: 2,
            verify_failures: 3,
            probes: 4,
            probe_failures: 5,
        };
        assert_eq!((one.outcomes(), one.failures(), one.wrong()), (15, 10, 8));
        assert_eq!(one.plus(one).outcomes(), 30);
    }
}
