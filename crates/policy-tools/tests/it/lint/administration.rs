//! Warnings about who administers the broker.

use super::lints::said;
use super::support::*;
use vouchsafe_policy_tools::lint;

const GROUP: &str = "[[workloads]]\nissuer = \"github\"\nclaims = { repository_id = \"1\" }\n";
const ADMIN: &str = "id = \"https://broker.example/admin\"\nscopes = [\"revoke\", \"revoke:read\"]\n";

/// A policy for the audience `id`.
fn policy(name: &str, id: &str, principal: &str, condition: &str) -> String {
    format!(
        "@id(\"{name}\")\npermit (principal is GitHub::Workflow in {principal}, action == Action::\"issue\", \
         resource == Audience::\"{id}\")\nwhen {{ {condition} && [\"revoke\"].containsAll(context.scopes) }};\n"
    )
}

fn of_admin(name: &str, principal: &str, condition: &str) -> String {
    policy(name, "https://broker.example/admin", principal, condition)
}

fn warned(audience: &str, rules: &str) -> Vec<String> {
    let report = lint::check(
        &files(&[
            ("audiences/admin.toml", Some(audience)),
            ("entities/security.toml", Some(GROUP)),
            ("entities/others.toml", Some(GROUP)),
            ("rules/admin.cedar", Some(rules)),
        ]),
        &environment(),
    );
    assert!(report.bundle.is_some(), "{report}");
    report.warnings.iter().filter(|it| it.kind.code() == "administration-wide").map(said).collect()
}

fn expected(name: &str) -> String {
    format!(
        "rules/admin.cedar: policy `{name}` permits administration of the broker beyond the members of one workload \
         group: require `principal in WorkloadGroup::\"…\"`, with the same group in every policy for this audience"
    )
}

#[test]
fn warns_of_administrators_in_no_group() {
    let github = "Issuer::\"github\"";
    for condition in ["true", "principal.repository_id == \"1\"", "!(principal in WorkloadGroup::\"security\")"] {
        assert_eq!(warned(ADMIN, &of_admin("a", github, condition)), [expected("a")], "{condition}");
    }
    let either = "(principal in WorkloadGroup::\"security\" || principal.repository_id == \"2\")";
    assert_eq!(warned(ADMIN, &of_admin("a", github, either)), [expected("a")]);
}

#[test]
fn warns_of_administrators_in_several_groups() {
    let in_security = of_admin("a", "WorkloadGroup::\"security\"", "true");
    let in_others = of_admin("b", "WorkloadGroup::\"others\"", "true");
    assert_eq!(warned(ADMIN, &format!("{in_security}{in_others}")), [expected("b")]);
}

#[test]
fn one_group_may_administer() {
    let by_scope = of_admin("a", "WorkloadGroup::\"security\"", "true");
    let by_condition = of_admin("b", "Issuer::\"github\"", "principal in WorkloadGroup::\"security\"");
    assert_eq!(warned(ADMIN, &format!("{by_scope}{by_condition}")), [""; 0]);
}

/// The most similar audiences that have nothing to do with a broker.
#[test]
fn ignores_audiences_of_applications() {
    for (id, scopes) in [
        ("https://app.example/admin", "\"write\""),
        ("https://app.example/administration", "\"revoke\""),
        ("https://app.example/admin/", "\"revoke\""),
    ] {
        let audience = format!("id = \"{id}\"\nscopes = [{scopes}]\n");
        assert_eq!(warned(&audience, &policy("a", id, "Issuer::\"github\"", "true")), [""; 0], "{id} {scopes}");
    }
}
