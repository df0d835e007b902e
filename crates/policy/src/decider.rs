//! A bundle as the policy component has it: for deciding, and nothing else.

use crate::bundle::Bundle;
use crate::decide::{DecideError, Decision, Principal, TokenRequest};
use crate::error::InvalidBundle;
use crate::files::BundleFiles;
use crate::records::{Audience, Environment, Issuer};
use crate::seal;

/// A bundle that decides, loaded as cheaply as can be.
///
/// Every instance of a component reads the whole bundle, hashes it and checks all files but rules. Rules are
/// parsed and checked all at once by the instance that meets a bundle first, which gives a *seal* for others
/// to be spared that. With its seal, rules are only found, and those that can match a request are parsed and
/// checked with the first such request.
///
/// INVARIANT: no rule takes part in a decision unless this very instance parsed it, validated it strictly and
/// made every check of [`Bundle::load`] that can be made of one rule. So who forges a seal gets no rule past
/// the checks: what they gain is that a bundle with a wrong rule is used for requests that this rule
/// can't match.
pub struct Decider {
    bundle: Bundle,
    seals: Option<String>,
}

/// How much of a bundle was looked at so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Rules that are there, in whatever profile.
    pub rules: usize,
    /// Those of them that Cedar parsed.
    pub parsed: usize,
}

impl Decider {
    /// Loads a bundle. `seals` are those that were kept, as [`Self::seals`] gave them, and may be anything.
    ///
    /// # Errors
    /// Those of [`Bundle::load`], in the same cases and words, unless a seal says that there are none.
    pub fn load(
        files: &BundleFiles,
        environment: &Environment,
        seals: Option<&str>,
    ) -> Result<Self, InvalidBundle> {
        let kept = seals.unwrap_or_default();
        let digest = files.digest();
        let seal = seal::of(&digest, environment);
        let checked = seal::has(kept, &seal);
        match Bundle::on_demand(files, environment, &digest, checked) {
            Some(bundle) => Ok(Self {
                bundle,
                seals: (!checked).then(|| seal::with(kept, &seal)),
            }),
            None => Ok(Self {
                bundle: Bundle::load(files, environment)?,
                seals: None,
            }),
        }
    }

    /// What to keep in place of the seals that were given, where that changes.
    pub fn seals(&self) -> Option<&str> {
        self.seals.as_deref()
    }

    pub fn name(&self) -> &str {
        &self.bundle.name
    }

    pub fn version(&self) -> &str {
        &self.bundle.version
    }

    /// See [`Bundle::digest`].
    pub fn digest(&self) -> &str {
        self.bundle.digest()
    }

    /// See [`Bundle::issuer`].
    pub fn issuer(&self, iss: &str) -> Option<&Issuer> {
        self.bundle.issuer(iss)
    }

    /// See [`Bundle::audience`].
    pub fn audience(&self, id: &str) -> Option<&Audience> {
        self.bundle.audience(id)
    }

    /// See [`Bundle::decide`].
    ///
    /// # Errors
    /// [`DecideError::RulesInvalid`] also where a rule that can match turns out to be wrong, which only a
    /// forged seal lets happen.
    pub fn decide(
        &self,
        principal: &Principal,
        request: &TokenRequest,
        now: u64,
    ) -> Result<Decision, DecideError> {
        self.bundle.decide(principal, request, now)
    }

    pub fn work(&self) -> Work {
        self.bundle.work()
    }
}

impl std::fmt::Debug for Decider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bundle.fmt(f)
    }
}
