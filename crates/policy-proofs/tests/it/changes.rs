//! Comparisons of bundles.

use crate::support::*;
use vouchsafe_policy::BundleFiles;
use vouchsafe_policy_proofs::compare::{Comparison, PolicyChange, compare};

const MAIN: &str = "principal.repository_id == \"1\" && principal.ref == \"refs/heads/main\"";

fn compared(old: &BundleFiles, new: &BundleFiles) -> Comparison {
    let comparison = compare((old, new), &environment(), &solver(), TWO).expect("it can be asked");
    assert_eq!(comparison.undecided, [], "everything is decided");
    comparison
}

fn rules(when: &str) -> BundleFiles {
    bundle(&permit("a", when), "")
}

#[test]
fn refactoring_keeps_the_meaning() {
    let other = "!(principal.ref != \"refs/heads/main\" || !([\"1\"].contains(principal.repository_id)))";
    let comparison = compared(&rules(MAIN), &rules(other));
    assert!(comparison.is_same(), "{comparison:?}");
    assert_eq!(comparison.policies["a"], PolicyChange::default());
}

#[test]
fn finds_who_gets_more() {
    let comparison = compared(&rules(MAIN), &rules("principal.repository_id == \"1\""));
    assert_eq!(comparison.narrowing, None);
    let widening = comparison.widening.expect("main is no longer required");
    assert_eq!(widening.found.permitted_by, ["a"]);
    assert_eq!(comparison.policies["a"], PolicyChange { matches_more: true, matches_less: false });
}

#[test]
fn finds_changes_in_both_directions() {
    let comparison = compared(&rules("principal.repository_id == \"1\""), &rules("principal.repository_id == \"2\""));
    assert!(comparison.widening.is_some() && comparison.narrowing.is_some());
}

#[test]
fn rule_that_moved_changes_nothing() {
    let two = |one: &str, next: &str| bundle(&(permit("a", one) + &permit("b", next)), "");
    let (one, next) = ("principal.repository_id == \"1\"", "principal.repository_id == \"2\"");
    let comparison = compared(&two(one, next), &two(next, one));
    assert!(comparison.is_same(), "{comparison:?}");
    let both = PolicyChange { matches_more: true, matches_less: true };
    assert_eq!((comparison.policies["a"], comparison.policies["b"]), (both, both));
}

#[test]
fn counts_members_of_groups() {
    let group = |id: &str| format!("[[workloads]]\nissuer = \"github\"\nclaims = {{ repository_id = \"{id}\" }}\n");
    let rule =
        "@id(\"a\") permit (principal in WorkloadGroup::\"g\", action, resource == Audience::\"https://a.example\");";
    let files = |id: &str| with(&bundle(rule, ""), &[("entities/g.toml", &group(id))]);
    assert!(compared(&files("1"), &files("1")).is_same());
    let comparison = compared(&files("1"), &files("2"));
    assert!(comparison.widening.is_some() && comparison.narrowing.is_some());
}

#[test]
fn counts_scopes_of_audiences() {
    let audience = "id = \"https://a.example\"\nscopes = [\"read\", \"write\", \"admin\"]\n";
    let old = rules("true");
    let new = with(&old, &[("audiences/a.toml", audience)]);
    let comparison = compared(&old, &new);
    assert_eq!(comparison.narrowing, None);
    assert_eq!(comparison.widening.expect("a new scope").found.request.request.scopes, ["admin"]);
}
