//! Warnings about who acts.

use super::lints::said;
use super::support::*;
use vouchsafe_policy_tools::lint;

const BASE: &str =
    "id = \"repo:acme/app:ref:refs/heads/main\"\n[claims]\nrepository_id = \"1\"\nref = \"refs/heads/main\"\n";
const CASE: &str = "issuer = \"github\"\nrules = [\"acts\", \"api\"]\n[actor]\nissuer = \"github\"\n\
    id = \"repo:acme/agent:ref:refs/heads/main\"\nclaims.repository_id = \"2\"\n[request]\n\
    audience = \"https://api.example\"\nscopes = [\"read\"]\n";

/// The warnings about a policy that lets workflows act if this holds; `more` are further policies.
fn warned(condition: &str, more: &str, case: Option<&str>) -> Vec<String> {
    let rule = format!(
        "@id(\"acts\")\npermit (principal is GitHub::Workflow in Issuer::\"github\", action == Action::\"act_for\", \
         resource is GitHub::Workflow in Issuer::\"github\")\nwhen {{ {condition} }};\n{more}"
    );
    let audience = format!("{API}allow_act = true\n");
    let report = lint::check(
        &files(&[
            ("audiences/api.toml", Some(&audience)),
            ("rules/act.cedar", Some(&rule)),
            ("tests/github.toml", Some(BASE)),
            ("tests/acts/allow/the agent.toml", case),
        ]),
        &environment(),
    );
    assert!(report.errors.is_empty(), "{report}");
    report.warnings.iter().filter(|it| it.kind.code() == "any-actor").map(said).collect()
}

fn expected() -> Vec<String> {
    let text = "rules/act.cedar: policy `acts` lets any workload of issuer `github` act: a run of `evil/evil`, repository id \
        666 is permitted to: compare a claim of `principal` that identifies your actor with `==`";
    vec![text.to_owned()]
}

#[test]
fn warns_of_any_actor() {
    for condition in [
        "true",
        "resource.repository_id == \"1\"",
        "principal.ref == \"refs/heads/main\"",
        "principal.repository_id == \"2\" || resource.repository_id == \"1\"",
        "principal.repository_id != \"3\"",
        "principal.repository_id like \"*\"",
    ] {
        assert_eq!(warned(condition, "", Some(CASE)), expected(), "{condition}");
    }
}

#[test]
fn named_actors_may_act_for_anybody() {
    for condition in ["principal.repository_id == \"2\"", "[\"2\", \"3\"].contains(principal.repository_id)"] {
        assert_eq!(warned(condition, "", Some(CASE)), [""; 0], "{condition}");
    }
}

/// A `forbid` keeps strangers out as well.
#[test]
fn forbids_count() {
    let forbid = "@id(\"only-ours\") forbid (principal, action == Action::\"act_for\", resource) unless \
        { principal is GitHub::Workflow && principal.repository_id == \"2\" };";
    assert_eq!(warned("true", forbid, Some(CASE)), [""; 0]);
}

/// Without a case there is no subject to act for; the policy has another warning then.
#[test]
fn judges_policies_by_their_cases() {
    assert_eq!(warned("true", "", None), [""; 0]);
}
