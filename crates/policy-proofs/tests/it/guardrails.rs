//! Guardrails of ordinary and dangerous bundles.

use crate::support::*;
use vouchsafe_policy::authoring::proof;
use vouchsafe_policy::{BundleFiles, PROOF_FILE};
use vouchsafe_policy_proofs::Counterexample;
use vouchsafe_policy_proofs::prove::{Outcome, prove_changes};

const DEPLOY: &str = "
    @id(\"deploy-from-main\")
    @description(\"Only pushes to main of repository 123456 get https://deploy.example.\")
    forbid (principal, action, resource == Audience::\"https://deploy.example\")
    unless {
        principal is GitHub::Workflow && principal in Issuer::\"github\" &&
        principal.repository_id == \"123456\" && principal.ref == \"refs/heads/main\" && principal.event_name == \"push\"
    };";

fn violation(outcome: Outcome) -> Counterexample {
    match outcome {
        Outcome::Violated(found) => *found,
        other => panic!("not violated: {other:?}"),
    }
}

#[test]
fn proves_default_bundle() {
    let files = with(&repository("policies"), &[("guardrails/deploy.cedar", DEPLOY)]);
    assert_eq!(only(&files), Outcome::Proven);
}

#[test]
fn refutes_rule_for_all_other_repositories() {
    let rule = "@id(\"oops\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, \
                resource == Audience::\"https://deploy.example\") when { principal.repository_id != \"1\" && \
                [\"deploy:read\"].containsAll(context.scopes) };";
    let files = with(&repository("policies"), &[("guardrails/deploy.cedar", DEPLOY), ("rules/oops.cedar", rule)]);
    let found = violation(only(&files));
    assert_eq!(found.permitted_by, ["oops"]);
    assert_eq!(
        found.lines(),
        [
            "a GitHub::Workflow of issuer `github` gets scope `deploy:read` for `https://deploy.example`",
            "event_name = \"push\"",
            "ref = \"refs/heads/main\"",
            "repository_id = \"example\"",
        ]
    );
}

#[test]
fn knows_that_a_token_has_one_issuer() {
    let rules = permit("a", "principal.repository_id == \"1\"");
    let files = bundle(&rules, &guardrail("g", "!(principal in Issuer::\"other\")"));
    assert_eq!(only(&files), Outcome::Proven);
    let files = bundle(&rules, &guardrail("g", "principal in Issuer::\"other\""));
    violation(only(&files));
}

#[test]
fn knows_the_scopes_of_an_audience() {
    let rules = permit("a", "true");
    let files = bundle(&rules, &guardrail("g", "[\"read\", \"write\", \"more\"].containsAll(context.scopes)"));
    assert_eq!(only(&files), Outcome::Proven);
    let files = bundle(&rules, &guardrail("g", "[\"read\", \"more\"].containsAll(context.scopes)"));
    let found = violation(only(&files));
    assert_eq!(found.request.request.scopes, ["write"]);
}

#[test]
fn proves_only_what_differs_from_proven_base() {
    let rules = permit("a", "principal.ref == \"x\"")
        + &permit("b", "principal.ref == \"y\"").replace("a.example", "b.example");
    let bound = "principal is GitHub::Workflow && [\"x\", \"y\"].contains(principal.ref)";
    let unproven = bundle(&rules, &guardrail("g", bound));
    let base = with(&unproven, &[(PROOF_FILE, &proof::record(&unproven, "cvc5"))]);
    let changed = with(&base, &[("rules/all.cedar", &rules.replace("\"y\"", "\"z\""))]);
    let ask = |base: &BundleFiles, new: &BundleFiles| {
        prove_changes(Some(base), new, &environment(), &solver(), TWO).expect("it can be asked")
    };
    let proofs = ask(&base, &changed);
    assert_eq!((proofs.unchanged, proofs.proofs.len()), (1, 1));
    assert_eq!(proofs.proofs[0].audience, "https://b.example");
    assert!(matches!(proofs.proofs[0].outcome, Outcome::Violated(_)));
    assert_eq!(ask(&unproven, &changed).unchanged, 0, "the base has no record");
    let narrower = guardrail("g", "principal is GitHub::Workflow && principal.ref == \"y\"");
    let narrower = with(&base, &[("guardrails/all.cedar", &narrower)]);
    assert_eq!(ask(&base, &narrower).unchanged, 0, "the guardrail differs");
}
