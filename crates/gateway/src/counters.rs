//! Counts of outcomes of one version of an HSM key.

use crate::canary::Outcomes;

/// Counters of one version, at one gateway or at several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Signatures that were verified and released.
    pub signed: u64,
    /// Requests that the HSM did not sign.
    pub sign_failures: u64,
    /// Signatures that the version's own public key did not verify, and that were withheld.
    pub verify_failures: u64,
    /// Probes that were verified with the JWK Set that verifiers fetch.
    pub probes: u64,
    /// Probes that this JWK Set did not verify.
    pub probe_failures: u64,
}

impl Counters {
    /// Signatures and probes, failed or not.
    #[must_use]
    pub fn outcomes(self) -> u64 {
        self.signed.saturating_add(self.probes).saturating_add(self.failures())
    }

    #[must_use]
    pub fn failures(self) -> u64 {
        self.sign_failures.saturating_add(self.wrong())
    }

    /// Signatures that no outage explains: the key, or what is published of it, is wrong.
    fn wrong(self) -> u64 {
        self.verify_failures.saturating_add(self.probe_failures)
    }
}

impl From<Counters> for Outcomes {
    fn from(counters: Counters) -> Self {
        Self {
            total: counters.outcomes(),
            failed: counters.failures(),
            wrong: counters.wrong(),
            proven: counters.probes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_signatures_count_as_failures() {
        let counters = Counters { signed: 1, sign_failures: 2, verify_failures: 3, probes: 4, probe_failures: 5 };
        let expected = Outcomes { total: 15, failed: 10, wrong: 8, proven: 4 };
        assert_eq!(Outcomes::from(counters), expected);
    }
}
