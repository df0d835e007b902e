//! Running the cases of a bundle: decision and exact determining rules of each.

use crate::token::verify;
use std::collections::BTreeMap;
use vouchsafe_policy::cases::{self, Case};
use vouchsafe_policy::lint::outcome;
use vouchsafe_policy::{
    Bundle, BundleFiles, Effect, Environment, InvalidBundle, Principal, Profiles,
};

/// Every case of a bundle with what came of it.
#[derive(Debug)]
pub struct Suite {
    /// In the profile of the environment.
    pub bundle: Bundle,
    /// In the profiles of cases that name one.
    pub others: BTreeMap<Option<String>, Bundle>,
    /// In path order.
    pub results: Vec<CaseResult>,
    /// Rules that determine no case: nobody would notice if they were gone.
    pub untested: Vec<String>,
    /// Cases in the folder of a rule that the bundle does not have.
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
    /// No decision could be made, for this reason.
    Undecidable(String),
    Unmet {
        expected: String,
        found: String,
    },
}

impl Suite {
    /// The bundle that `case` was decided by.
    pub fn bundle_of(&self, case: &Case) -> &Bundle {
        self.others.get(&case.profile).unwrap_or(&self.bundle)
    }

    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        let failed = |result: &&CaseResult| result.verdict != Verdict::Met;
        self.results.iter().filter(failed)
    }

    /// Whether every case came out as it says and every rule determines one.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none() && self.untested.is_empty() && self.orphans.is_empty()
    }
}

/// Runs every case. Cases of development issuers count too, so all are decided as in development.
///
/// # Errors
/// The bundle does not load, or a case can't be read.
pub fn run(files: &BundleFiles, environment: &Environment) -> Result<Suite, InvalidBundle> {
    let environment = Environment {
        development: true,
        ..environment.clone()
    };
    let mut profiles = Profiles::load(files, &environment)?;
    let cases = cases::read(files, profiles.bundle(None)?);
    let cases = cases.map_err(|findings| InvalidBundle { findings })?;
    let mut results: Vec<CaseResult> = Vec::with_capacity(cases.len());
    for case in cases {
        let verdict = judge(&case, profiles.bundle(case.profile.as_deref())?);
        results.push(CaseResult { case, verdict });
    }
    let mut bundles = profiles.into_bundles();
    // What cases of other profiles are about counts as well.
    let mut rules: Vec<String> = Vec::new();
    for rule in bundles.values().flat_map(Bundle::rules) {
        if !rules.contains(&rule.id) {
            rules.push(rule.id.clone());
        }
    }
    let Some(bundle) = bundles.remove(&None) else {
        return Err(InvalidBundle::default());
    };
    let determines = |rule: &str| {
        let of = |result: &CaseResult| result.case.rules.iter().any(|it| it == rule);
        results.iter().any(of)
    };
    let untested = rules.iter().filter(|id| !determines(id)).cloned();
    let known = |id: &str| rules.iter().any(|rule| rule == id);
    let orphans = results.iter().filter(|result| !known(&result.case.rule));
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
        (Ok(_), Some(slug)) => Verdict::Unmet {
            expected: format!("a token that is refused with `{slug}`"),
            found: "a token that is taken".to_owned(),
        },
        (Err(refusal), Some(slug)) if refusal.slug() == Some(slug.as_str()) => {
            match case.effect == Effect::Deny && case.rules.is_empty() {
                true => Verdict::Met,
                false => Verdict::Unmet {
                    expected: outcome(case.effect, &case.rules, &case.erring),
                    found: format!("{refusal}, before any rule is asked"),
                },
            }
        }
        (Err(refusal), _) => Verdict::Undecidable(refusal.to_string()),
    }
}

fn judge_decision(case: &Case, principal: &Principal, bundle: &Bundle) -> Verdict {
    let decision = match bundle.decide(principal, &case.request, case.now) {
        Ok(decision) => decision,
        Err(error) => return Verdict::Undecidable(error.to_string()),
    };
    if case.is_met_by(&decision) {
        return Verdict::Met;
    }
    Verdict::Unmet {
        expected: outcome(case.effect, &case.rules, &case.erring),
        found: outcome(
            decision.effect,
            &decision.determining_rules,
            &decision.erring_rules,
        ),
    }
}
