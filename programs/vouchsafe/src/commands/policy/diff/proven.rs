//! What `policy diff --prove` adds.

use super::proof::Proof;
use crate::commands::policy::prove::show::of_counterexample;
use crate::commands::policy::solver::SolverArgs;
use serde_json::{Value, json};
use vouchsafe_cli::Failure;
use vouchsafe_policy::{BundleFiles, Environment};
use vouchsafe_policy_proofs::compare::{Comparison, Example, PolicyChange, compare};
use vouchsafe_policy_tools::diff::Difference;

/// Compares both bundles for all requests. If everything is decided, that replaces what the texts of policies say.
pub fn proof(
    solver: &SolverArgs,
    environment: &Environment,
    files: (&BundleFiles, &BundleFiles),
    difference: &mut Difference,
) -> Result<Proof, Failure> {
    let compared = compare(files, environment, &solver.options(), solver.jobs());
    let comparison = compared.map_err(|error| solver.failed(error))?;
    if comparison.undecided.is_empty() {
        difference.retain_unproven();
    }
    let text = as_text(&comparison);
    Ok(Proof {
        markdown: format!("\n```\n{text}```\n"),
        text,
        json: as_json(&comparison),
        widens: comparison.widening.is_some() || !comparison.undecided.is_empty(),
        narrows: comparison.narrowing.is_some() || !comparison.undecided.is_empty(),
    })
}

fn as_text(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (id, change) in &comparison.policies {
        text.push_str(&format!("  rule {id}: {}\n", of_policy(*change)));
    }
    for (example, what) in [(&comparison.widening, "more"), (&comparison.narrowing, "less")] {
        text.extend(example.iter().map(|example| of_example(example, what)));
    }
    for undecided in &comparison.undecided {
        let (issuer, audience, why) = (&undecided.issuer, &undecided.audience, &undecided.why);
        text.push_str(&format!("  not decided for issuer `{issuer}` and `{audience}`: {why}\n"));
    }
    let (solver, more) = (&comparison.solver, comparison.widening.is_some());
    let verdict = match (comparison.undecided.is_empty(), more, comparison.narrowing.is_some()) {
        (false, ..) => "not decided for all requests",
        (true, false, false) => "proven for all requests: the same is permitted",
        (true, true, false) => "proven for all requests: more is permitted, and nothing less",
        (true, false, true) => "proven for all requests: less is permitted, and nothing more",
        (true, true, true) => "proven for all requests: more is permitted, and less",
    };
    format!("{verdict} ({solver})\n{text}")
}

fn of_policy(change: PolicyChange) -> &'static str {
    match (change.matches_more, change.matches_less) {
        (false, false) => "matches the same requests",
        (false, true) => "matches fewer requests",
        (true, false) => "matches more requests",
        (true, true) => "matches other requests",
    }
}

fn of_example(example: &Example, what: &str) -> String {
    let rules = example.found.permitted_by.join("`, `");
    let profile = example.profile.as_ref().map_or_else(String::new, |name| format!(" in profile `{name}`"));
    let mut text = format!("  {what}{profile}, by `{rules}`:\n");
    text.extend(example.found.lines().iter().map(|line| format!("    {line}\n")));
    text
}

fn as_json(comparison: &Comparison) -> Value {
    let example = |example: &Option<Example>| {
        example.as_ref().map(|it| json!({ "profile": it.profile, "request": of_counterexample(&it.found) }))
    };
    let policies = comparison.policies.iter().map(
        |(id, change)| json!({ "rule": id, "matches_more": change.matches_more, "matches_less": change.matches_less }),
    );
    let undecided = comparison
        .undecided
        .iter()
        .map(|it| json!({ "issuer": it.issuer, "audience": it.audience, "why": it.why.to_string() }));
    json!({
        "solver": comparison.solver,
        "widening": example(&comparison.widening),
        "narrowing": example(&comparison.narrowing),
        "rules": policies.collect::<Vec<_>>(),
        "undecided": undecided.collect::<Vec<_>>(),
    })
}
