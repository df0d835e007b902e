//! What `policy check` warns of.

use crate::support::*;
use vouchsafe_policy::lint;

/// A case of rule `api`, so that nothing warns of its absence.
const CASE: &str = "issuer = \"github\"\nid = \"a\"\nrules = [\"api\"]\n\
    claims = { repository_id = \"1\", ref = \"a\" }\n\
    [request]\naudience = \"https://api.example\"\nscopes = [\"read\"]\n";

fn warnings(changes: &[(&str, Option<&str>)]) -> Vec<String> {
    let report = lint::check(&files(changes), &environment());
    assert!(report.bundle.is_some(), "{report}");
    report.warnings.iter().map(ToString::to_string).collect()
}

/// Warnings of a rule with this condition that has a case.
fn of_condition(condition: &str) -> Vec<String> {
    let rule = PERMIT.replace("when { [\"read\"].containsAll(context.scopes) }", condition);
    warnings(&[
        ("rules/api.cedar", Some(&rule)),
        ("tests/api/allow/a.toml", Some(CASE)),
    ])
}

#[test]
fn says_nothing_of_a_bundle_without_fault() {
    assert_eq!(warnings(&[("tests/api/allow/a.toml", Some(CASE))]), [""; 0]);
}

#[test]
fn warns_of_rules_without_a_case_and_cases_without_a_rule() {
    assert_eq!(
        warnings(&[]),
        ["rules/api.cedar:1:1: rule `api` determines no test case: add one in `tests/api/`"]
    );
    assert_eq!(
        warnings(&[("tests/gone/allow/a.toml", Some(CASE))]),
        ["tests/gone/allow/a.toml: the case is for rule `gone`, which is not in the bundle"]
    );
}

#[test]
fn warns_of_scopes_that_are_not_bounded_on_every_way() {
    let unbounded = [
        "rules/api.cedar:1:1: rule `api` does not bound the scopes: add \
                      `[…].containsAll(context.scopes)` to its `when`",
    ];
    let reversed = [
        "rules/api.cedar:1:1: rule `api` has `context.scopes.containsAll(…)`, which \
                     grants any further scope too: write `[…].containsAll(context.scopes)`",
    ];
    let bound = "[\"read\"].containsAll(context.scopes)";
    for condition in [
        format!("when {{ {bound} }}"),
        format!("when {{ principal.ref == \"a\" && {bound} }}"),
        format!("when {{ (principal.ref == \"a\" && {bound}) || context.scopes.isEmpty() }}"),
        "when { context.scopes == [\"read\"] }".to_owned(),
        format!("when {{ principal.ref == \"a\" }} when {{ {bound} }}"),
        format!("unless {{ !({bound}) }}"),
        format!("unless {{ principal.ref == \"a\" || !{bound} }}"),
        format!("when {{ if principal.ref == \"a\" then {bound} else context.scopes.isEmpty() }}"),
        format!("when {{ if {bound} then true else false }}")
            .replace("else false", "else {X}")
            .replace("{X}", bound),
    ] {
        assert_eq!(of_condition(&condition), [""; 0], "{condition}");
    }
    for condition in [
        String::new(),
        "when { principal.ref == \"a\" }".to_owned(),
        format!("when {{ principal.ref == \"a\" || {bound} }}"),
        format!("when {{ !{bound} }}"),
        format!("unless {{ {bound} }}"),
        format!("unless {{ principal.ref == \"a\" && !{bound} }}"),
        format!("when {{ if principal.ref == \"a\" then {bound} else true }}"),
        "when { context.scopes.contains(\"read\") }".to_owned(),
    ] {
        assert_eq!(of_condition(&condition), unbounded, "{condition}");
    }
    for condition in [
        "when { context.scopes.containsAll([\"read\"]) }".to_owned(),
        format!("when {{ {bound} && context.scopes.containsAll([\"read\"]) }}"),
    ] {
        assert_eq!(of_condition(&condition), reversed, "{condition}");
    }
}

#[test]
fn wants_no_bound_where_the_audience_has_no_scopes_or_the_rule_forbids() {
    let none = "id = \"https://api.example\"\n";
    let rule = PERMIT.replace(" when { [\"read\"].containsAll(context.scopes) }", "");
    let case = CASE.replace("scopes = [\"read\"]\n", "");
    let forbid =
        "@id(\"never\") forbid (principal, action, resource) when { context.proof_of_possession };";
    let forbidden = "issuer = \"github\"\nid = \"a\"\nrules = [\"never\"]\n\
        claims = { repository_id = \"1\", ref = \"a\" }\n\
        [request]\naudience = \"https://api.example\"\nproof_of_possession = true\n";
    assert_eq!(
        warnings(&[
            ("audiences/api.toml", Some(none)),
            ("rules/api.cedar", Some(&rule)),
            ("rules/never.cedar", Some(forbid)),
            ("tests/api/allow/a.toml", Some(&case)),
            ("tests/never/deny/a.toml", Some(forbidden)),
        ]),
        [""; 0]
    );
}

#[test]
fn issuers_and_audiences_that_no_file_has_are_errors_in_rules_of_both_effects() {
    let rule = "@id(\"api\")\npermit (principal is GitHub::Workflow in Issuer::\"gitub\", action, \
        resource == Audience::\"https://api.exmaple\") when { context.scopes.isEmpty() };\n";
    let expected = [
        "rules/api.cedar:1:1: rule `api` names audience `https://api.exmaple`, which no audience \
         file has",
        "rules/api.cedar:1:1: rule `api` names issuer `gitub`, which no issuer file has",
    ];
    for rule in [rule.to_owned(), rule.replace("permit", "forbid")] {
        let report = lint::check(&files(&[("rules/api.cedar", Some(&rule))]), &environment());
        let errors: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected, "{rule}");
        assert!(report.bundle.is_none());
    }
}

#[test]
fn warns_of_a_rule_that_can_never_match() {
    let found = of_condition("when { context.scopes.isEmpty() && principal is Audience }");
    let never = "rules/api.cedar:1:1: for policy `api`, policy is impossible: the policy \
                 expression evaluates to false for all valid requests";
    assert_eq!(found, [never]);
}

#[test]
fn finds_cases_that_cannot_be_read() {
    let errors = |content: &str| {
        let files = files(&[("tests/api/allow/a.toml", Some(content))]);
        let report = lint::check(&files, &environment());
        report
            .errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let at = |what: &str| vec![format!("tests/api/allow/a.toml:{what}")];
    assert_eq!(
        errors(&CASE.replace("\"github\"", "\"gitub\"")),
        at("1:10: issuer `gitub` is not in the bundle")
    );
    assert_eq!(
        errors(&CASE.replace("ref = \"a\"", "ref = 1.5")),
        at("1:10: claim `ref` is not a text, an integer, a boolean or an array of texts")
    );
    assert_eq!(
        errors(&format!("at = \"soon\"\n{CASE}")),
        at("1:6: `at` is not a date such as `2027-01-01T00:00:00Z`")
    );
    assert_eq!(
        errors(&format!("decision = \"allow\"\n{CASE}")),
        at(
            "1:1: unknown field `decision`, expected one of `issuer`, `id`, `at`, `claims`, \
            `absent`, `request`, `rules`, `erring`"
        )
    );
}

#[test]
fn warns_of_names_that_are_trusted_without_their_ids() {
    let schema = SCHEMA.replace(
        "repository_id: String,",
        "repository_id: String, repository_owner_id?: String, repository?: String, workflow_ref?: String,",
    );
    let of = |condition: &str| {
        let bound = "[\"read\"].containsAll(context.scopes)";
        let rule = PERMIT.replace(bound, &format!("{bound} && {condition}"));
        let report = lint::check(
            &files(&[
                ("schema.cedarschema", Some(&schema)),
                ("rules/api.cedar", Some(&rule)),
            ]),
            &environment(),
        );
        assert!(report.bundle.is_some(), "{report}");
        let warnings = report.warnings.iter().map(ToString::to_string);
        warnings
            .filter(|warning| !warning.contains("determines no test case"))
            .collect::<Vec<_>>()
    };
    let warning = |name: &str| {
        format!(
            "rules/api.cedar:1:1: rule `api` trusts `{name}`, a name that somebody else may take \
             over: compare `repository_id` too"
        )
    };
    let repository = "principal has repository && principal.repository == \"octo-org/octo-repo\"";
    let workflow = "principal has workflow_ref && principal.workflow_ref like \"octo-org/*\"";
    let owner = "principal has repository_owner_id && principal.repository_owner_id == \"65\"";
    assert_eq!(of(repository), [warning("repository")]);
    assert_eq!(of(workflow), [warning("workflow_ref")]);
    assert_eq!(
        of(&format!("(({repository}) || ({workflow}))")),
        [warning("repository"), warning("workflow_ref")]
    );
    // To ask whether an id is there is not to compare it.
    assert_eq!(
        of(&format!(
            "principal has repository_owner_id && {repository}"
        )),
        [warning("repository")]
    );
    for condition in [
        "principal has repository".to_owned(),
        format!("{repository} && principal.repository_id == \"123456\""),
        format!("{repository} && {owner}"),
        format!("{workflow} && {owner}"),
        "principal.ref == \"refs/heads/main\"".to_owned(),
    ] {
        assert_eq!(of(&condition), [""; 0], "{condition}");
    }
}

#[test]
fn a_rule_that_forbids_may_go_by_names() {
    let schema = SCHEMA.replace(
        "repository_id: String,",
        "repository_id: String, repository?: String,",
    );
    let forbid = "@id(\"never\") forbid (principal is GitHub::Workflow, action, resource) \
        when { principal has repository && principal.repository == \"octo-org/archive\" };";
    let found = warnings(&[
        ("schema.cedarschema", Some(&schema)),
        ("rules/never.cedar", Some(forbid)),
        ("tests/api/allow/a.toml", Some(CASE)),
    ]);
    assert_eq!(
        found,
        ["rules/never.cedar:1:1: rule `never` determines no test case: add one in `tests/never/`"]
    );
}
