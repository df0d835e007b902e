//! Properties of single policies: each with a bundle that has it, and one that narrowly does not.

use crate::support::*;
use std::collections::BTreeMap;
use vouchsafe_policy::BundleFiles;
use vouchsafe_policy_proofs::lints::{Lint, lints};
use vouchsafe_policy_proofs::unintended::Unintended;

const ONE: &str = "principal.repository_id == \"1\"";

fn found(files: &BundleFiles) -> BTreeMap<String, Vec<Lint>> {
    lints(files, &environment(), &solver(), TWO).expect("it can be asked")
}

/// What is proven about policy `a`, but for the requests that it permits.
fn of_a(rules: &str) -> Vec<Lint> {
    let mut lints = found(&bundle(rules, "")).remove("a").unwrap_or_default();
    lints.retain(|lint| !matches!(lint, Lint::Permits(..)));
    lints
}

/// Which kinds of requests policy `a` should not permit, and does.
fn unintended(files: &BundleFiles) -> Vec<Unintended> {
    let lints = found(files).remove("a").unwrap_or_default();
    let kind = |lint: Lint| match lint {
        Lint::Permits(kind, _) => Some(kind),
        _ => None,
    };
    lints.into_iter().filter_map(kind).collect()
}

fn forbid(id: &str, when: &str) -> String {
    permit(id, when).replacen("permit", "forbid", 1)
}

#[test]
fn reports_rule_that_never_matches() {
    assert_eq!(of_a(&permit("a", &format!("{ONE} && principal.repository_id == \"2\""))), [Lint::NeverMatches]);
    assert_eq!(of_a(&permit("a", "context.scopes.contains(\"admin\")")), [Lint::NeverMatches]);
    assert_eq!(of_a(&permit("a", "context.scopes.contains(\"write\")")), []);
}

#[test]
fn reports_rule_that_is_always_overruled() {
    let a = permit("a", ONE);
    assert_eq!(of_a(&(a.clone() + &forbid("b", "principal.repository_id like \"1*\""))), [Lint::Overruled]);
    assert_eq!(of_a(&(a + &forbid("b", "principal.repository_id like \"1?\""))), []);
}

#[test]
fn reports_rule_that_others_imply() {
    let a = permit("a", &format!("{ONE} && principal.ref == \"x\""));
    assert_eq!(of_a(&(a.clone() + &permit("b", ONE))), [Lint::Implied("b".to_owned())]);
    assert_eq!(of_a(&(a + &permit("b", "principal.repository_id == \"2\""))), []);
    let halves = permit("b", "principal.ref == \"x\"") + &permit("c", "principal.ref != \"x\"");
    assert_eq!(of_a(&(permit("a", ONE) + &halves)), [Lint::ImpliedByOthers]);
}

#[test]
fn reports_equivalent_rules() {
    assert_eq!(
        of_a(&(permit("a", ONE) + &permit("b", "[\"1\"].contains(principal.repository_id)"))),
        [Lint::Equivalent("b".to_owned())]
    );
}

#[test]
fn reports_forbid_without_effect() {
    let b = permit("b", ONE);
    assert_eq!(of_a(&(b.clone() + &forbid("a", "principal.repository_id == \"2\""))), [Lint::ForbidsNothing]);
    assert_eq!(of_a(&(b + &forbid("a", "principal.ref == \"x\""))), []);
}

#[test]
fn reports_policy_that_can_fail() {
    let overflow = "context.requested_lifetime_seconds * 9223372036854775807 > 0";
    assert_eq!(of_a(&permit("a", overflow)), [Lint::CanErr]);
    assert_eq!(of_a(&permit("a", "context.requested_lifetime_seconds > 5")), []);
}

#[test]
fn reports_stranger_of_open_issuer() {
    let open = "issuer = \"https://token.actions.githubusercontent.com\"\nprovider = \"github\"\n";
    let about = |when: &str| {
        let pushed = format!("({when}) && principal.event_name == \"push\"");
        unintended(&with(&bundle(&permit("a", &pushed), ""), &[("issuers/github.toml", open)]))
    };
    for when in
        ["principal.repository_id != \"1\"", "principal.repository like \"o*\"", "principal.ref == \"refs/heads/main\""]
    {
        assert_eq!(about(when), [Unintended::Stranger], "{when}");
    }
    assert_eq!(about(ONE), []);
    assert_eq!(about("[\"1\", \"2\"].contains(principal.repository_id)"), []);
}

/// A run of `pull_request` has the `ref` of its merge, and the others that of a branch.
#[test]
fn reports_runs_of_unreviewed_code() {
    let about = |when: &str| unintended(&bundle(&permit("a", &format!("{ONE} && {when}")), ""));
    let main = "principal.ref == \"refs/heads/main\"";
    for when in [
        "true",
        main,
        "principal.ref like \"refs/pull/*\"",
        "principal.event_name != \"pull_request\"",
        "[\"push\", \"workflow_run\"].contains(principal.event_name)",
    ] {
        assert_eq!(about(when), [Unintended::UnreviewedCode], "{when}");
    }
    for when in [
        "principal.event_name == \"push\"",
        "principal.ref like \"refs/tags/v*\" && principal.event_name == \"issue_comment\"",
    ] {
        assert_eq!(about(when), [], "{when}");
    }
}

#[test]
fn reports_token_without_the_scopes_of_a_rule() {
    let pushed = |when: &str| permit("a", &format!("{ONE} && principal.event_name == \"push\" && {when}"));
    let about = |when: &str| unintended(&bundle(&pushed(when), ""));
    let listed = "[\"write\"].containsAll(context.scopes)";
    assert_eq!(about(listed), [Unintended::NoScopes]);
    assert_eq!(about(&format!("{listed} && !context.scopes.isEmpty()")), []);
    assert_eq!(about("[\"read\", \"write\"].containsAll(context.scopes)"), [], "a token to read needs no scope");
    let required = "id = \"https://a.example\"\nscopes = [\"read\", \"write\"]\nscopes_required = true\n";
    assert_eq!(unintended(&with(&bundle(&pushed(listed), ""), &[("audiences/a.toml", required)])), []);
}

/// Tokens of development issuers are made by hand.
#[test]
fn development_issuers_have_no_adversaries() {
    let issuer = "issuer = \"http://127.0.0.1:7000\"\nprovider = \"github\"\ndevelopment = true\n";
    let files = with(&bundle(&permit("a", "true"), ""), &[("issuers/github.toml", issuer)]);
    let environment = vouchsafe_policy::Environment { development: true, ..environment() };
    let found = lints(&files, &environment, &solver(), TWO).expect("it can be asked");
    assert!(!found.contains_key("a"), "{found:?}");
}
