//! Who can get what.

use crate::support::*;
use vouchsafe_policy::{Attribute, AttributeValue, Principal};
use vouchsafe_policy_proofs::access::{Access, Alternative, can, who_can};
use vouchsafe_policy_proofs::grants;

fn who(files: &vouchsafe_policy::BundleFiles, audience: &str, scope: Option<&str>) -> Vec<Access> {
    let found = who_can(files, &environment(), &solver(), TWO, (audience, scope)).expect("it can be asked");
    found.into_iter().collect::<Result<_, _>>().expect("everything is decided")
}

fn alternative(policy: &str, conditions: &[&str]) -> Alternative {
    Alternative { policy: policy.to_owned(), conditions: conditions.iter().map(|it| (*it).to_owned()).collect() }
}

#[test]
fn leaves_out_conditions_about_other_scopes() {
    let found = who(&repository("policies"), "https://api.example", Some("write"));
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].permits,
        [alternative(
            "api-write-from-main",
            &[
                "principal.repository_id == \"123456\"",
                "principal.ref == \"refs/heads/main\"",
                "principal.event_name == \"push\"",
            ],
        )]
    );
    assert_eq!(found[0].forbids, [], "only pushes are permitted");
    assert_eq!(found[0].example.permitted_by, ["api-write-from-main"]);
}

#[test]
fn leaves_out_rules_that_others_imply() {
    let rules = permit("a", "principal.repository_id == \"1\"")
        + &permit("b", "principal.repository_id == \"1\" && principal.ref == \"refs/heads/main\"");
    let found = who(&bundle(&rules, ""), "https://a.example", None);
    assert_eq!(found[0].permits, [alternative("a", &["principal.repository_id == \"1\""])]);
}

#[test]
fn nobody_gets_a_scope_that_no_rule_permits() {
    let rules = permit("a", "[\"read\"].containsAll(context.scopes)");
    assert_eq!(who(&bundle(&rules, ""), "https://a.example", Some("write")), []);
}

#[test]
fn lists_what_a_workload_can_get() {
    let rules = permit(
        "a",
        "principal.repository_id == \"1\" && [\"read\"].containsAll(context.scopes) && \
         context.now >= datetime(\"2030-01-01T00:00:00Z\")",
    );
    let text =
        |name: &str, value: &str| Attribute { name: name.to_owned(), value: AttributeValue::Text(value.to_owned()) };
    let names =
        ["actor", "event_name", "ref", "repository", "repository_owner", "repository_owner_id", "run_id", "workflow"];
    let principal = |repository: &str| Principal {
        entity_type: "GitHub::Workflow".to_owned(),
        id: "x".to_owned(),
        issuer_name: "github".to_owned(),
        attributes: names.iter().map(|name| text(name, "x")).chain([text("repository_id", repository)]).collect(),
    };
    let files = bundle(&rules, "");
    let ask =
        |repository| can(&files, &environment(), &solver(), TWO, &principal(repository)).expect("it can be asked");
    let found = ask("1");
    let scopes: Vec<Option<&str>> = found.iter().map(|it| it.scope.as_deref()).collect();
    assert_eq!(scopes, [None, Some("read")]);
    let circumstances = &found[1].outcome.as_ref().expect("it is decided").circumstances;
    assert_eq!(circumstances.len(), 1);
    assert_eq!(circumstances[0].0, "time");
    assert_eq!(ask("2"), []);
}

#[test]
fn finds_policies_that_can_permit_something() {
    let rules = permit("possible", "principal.repository_id == \"1\"")
        + &permit("contradictory", "principal.ref == \"a\" && principal.ref == \"b\"")
        + &permit("forbidden", "principal.repository_id == \"2\"")
        + &permit("block", "principal.repository_id == \"2\"").replacen("permit", "forbid", 1)
        + "@id(\"other\") permit (principal is GitHub::Workflow in Issuer::\"other\", action, resource);\n";
    let found = grants::possible(&bundle(&rules, ""), &environment(), &solver(), TWO).expect("it can be asked");
    let found = found.expect("everything is decided").into_iter();
    let found: Vec<_> = found.map(|it| format!("{} {} {}", it.policy, it.issuer, it.audience)).collect();
    assert_eq!(
        found,
        ["other other https://a.example", "other other https://b.example", "possible github https://a.example"]
    );
}
