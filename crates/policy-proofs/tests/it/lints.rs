//! Properties of single policies: each with a bundle that has it, and one that narrowly does not.

use crate::support::*;
use std::collections::BTreeMap;
use vouchsafe_policy::BundleFiles;
use vouchsafe_policy_proofs::lints::{Lint, lints};

const ONE: &str = "principal.repository_id == \"1\"";

fn found(files: &BundleFiles) -> BTreeMap<String, Vec<Lint>> {
    lints(files, &environment(), &solver(), TWO).expect("it can be asked")
}

/// What is proven about policy `a`.
fn of_a(rules: &str) -> Vec<Lint> {
    found(&bundle(rules, "")).remove("a").unwrap_or_default()
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
        let files = with(&bundle(&permit("a", when), ""), &[("issuers/github.toml", open)]);
        found(&files).remove("a").unwrap_or_default()
    };
    for when in
        ["principal.repository_id != \"1\"", "principal.repository like \"o*\"", "principal.ref == \"refs/heads/main\""]
    {
        let lints = about(when);
        assert!(matches!(lints.as_slice(), [Lint::Stranger(_)]), "{when}: {lints:?}");
    }
    assert_eq!(about(ONE), []);
    assert_eq!(about("[\"1\", \"2\"].contains(principal.repository_id)"), []);
}
