//! Runs the cases of a bundle and compares decisions and determining policies.

use crate::cases::{self, Case};
use crate::error::SuiteError;
use crate::outcome::outcome;
use crate::profiles::Profiles;
use crate::token::verify;
use std::collections::BTreeMap;
use vouchsafe_policy::{Bundle, BundleFiles, Effect, Environment, Principal};

/// Every case of a bundle with its result.
#[derive(Debug)]
pub struct Suite {
    /// The bundle in the profile of the environment.
    pub bundle: Bundle,
    /// The bundle in the profiles that cases name.
    pub others: BTreeMap<Option<String>, Bundle>,
    /// In path order.
    pub results: Vec<CaseResult>,
    /// Policies that determine no case, so that no test would notice their removal.
    pub untested: Vec<String>,
    /// Cases in the folder of a policy that the bundle does not have.
    pub orphans: Vec<String>,
}

#[derive(Debug)]
pub struct CaseResult {
    pub case: Case,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Met,
    /// No decision was possible, for this reason.
    Undecidable(String),
    Unmet {
        expected: String,
        found: String,
    },
}

impl Suite {
    /// The bundle that decided `case`.
    pub fn bundle_of(&self, case: &Case) -> &Bundle {
        self.others.get(&case.profile).unwrap_or(&self.bundle)
    }

    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        let failed = |result: &&CaseResult| result.verdict != Verdict::Met;
        self.results.iter().filter(failed)
    }

    /// Whether every case was met and every policy determines one.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none() && self.untested.is_empty() && self.orphans.is_empty()
    }
}

/// Runs every case, including those of development issuers.
///
/// # Errors
/// The bundle does not load, or a case cannot be read.
pub fn run(files: &BundleFiles, environment: &Environment) -> Result<Suite, SuiteError> {
    let environment = Environment { development: true, ..environment.clone() };
    let mut profiles = Profiles::load(files, &environment)?;
    let cases = cases::read(files, profiles.bundle(None)?)?;
    let mut results: Vec<CaseResult> = Vec::with_capacity(cases.len());
    for case in cases {
        let verdict = judge(&case, profiles.bundle(case.profile.as_deref())?);
        results.push(CaseResult { case, verdict });
    }
    let mut bundles = profiles.into_bundles();
    // Policies of other profiles count too.
    let mut policies: Vec<String> = Vec::new();
    for policy in bundles.values().flat_map(Bundle::policies_of_all_actions) {
        if !policies.contains(&policy.id) {
            policies.push(policy.id.clone());
        }
    }
    let Some(bundle) = bundles.remove(&None) else {
        return Err(SuiteError::default());
    };
    let determines = |policy: &str| {
        let of = |result: &CaseResult| result.case.policies.iter().any(|it| it == policy);
        results.iter().any(of)
    };
    let untested = policies.iter().filter(|id| !determines(id)).cloned();
    let known = |id: &str| policies.iter().any(|policy| policy == id);
    let orphans = results.iter().filter(|result| !known(&result.case.policy));
    Ok(Suite {
        untested: untested.collect(),
        orphans: orphans.map(|result| result.case.path.clone()).collect(),
        results,
        bundle,
        others: bundles,
    })
}

fn judge(case: &Case, bundle: &Bundle) -> Verdict {
    let verified = match &case.token {
        Some(token) => verify(token, case, bundle),
        None => Ok(case.principal.clone()),
    };
    match (verified, &case.refused) {
        (Ok(principal), None) => judge_decision(case, &principal, bundle),
        (Ok(_), Some(slug)) => {
            Verdict::Unmet { expected: format!("a token refused with `{slug}`"), found: "an accepted token".to_owned() }
        }
        (Err(refusal), Some(slug)) if refusal.slug() == Some(slug.as_str()) => {
            match case.effect == Effect::Deny && case.policies.is_empty() {
                true => Verdict::Met,
                false => Verdict::Unmet {
                    expected: outcome(case.effect, &case.policies, &case.erring),
                    found: format!("{refusal}, before any policy is evaluated"),
                },
            }
        }
        (Err(refusal), _) => Verdict::Undecidable(refusal.to_string()),
    }
}

fn judge_decision(case: &Case, principal: &Principal, bundle: &Bundle) -> Verdict {
    let decision = match case.decide_for(principal, bundle) {
        Ok(decision) => decision,
        Err(error) => return Verdict::Undecidable(error.to_string()),
    };
    if case.is_met_by(&decision) {
        return Verdict::Met;
    }
    Verdict::Unmet {
        expected: outcome(case.effect, &case.policies, &case.erring),
        found: outcome(decision.effect, &decision.determining_rules, &decision.erring_rules),
    }
}
