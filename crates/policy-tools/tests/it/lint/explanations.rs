//! Why a request is permitted or denied.

use super::support::*;
use vouchsafe_json::JsonObject;
use vouchsafe_policy::{AttributeValue, Bundle, Effect, Principal};
use vouchsafe_policy_tools::RecordedRequest;
use vouchsafe_policy_tools::explain::{self, Condition, Kind, PolicyExplanation, Verdict};
use vouchsafe_policy_tools::{ClaimsError, principal_of_claims};

const GHES: &str = "issuer = \"https://ghes.example\"\nprovider = \"github\"\n";

fn asked() -> RecordedRequest {
    RecordedRequest { principal: principal(), actor: None, request: request(), now: NOW }
}

fn explain(rules: &str) -> (Effect, Vec<PolicyExplanation>) {
    explain_in(&with_rules(rules))
}

fn explain_in(bundle: &Bundle) -> (Effect, Vec<PolicyExplanation>) {
    let explanation = explain::explain(bundle, &asked()).unwrap_or_else(|error| panic!("{error}"));
    (explanation.decision.effect, explanation.policies)
}

/// Kind, text and verdict of each condition of a `permit` with these conditions.
fn conditions(conditions: &str) -> Vec<(Kind, String, Verdict)> {
    let rule = PERMIT.replace("when { [\"read\"].containsAll(context.scopes) }", conditions);
    let (_, rules) = explain(&rule);
    rules[0].conditions.iter().map(|one| (one.kind, one.text.clone(), one.verdict.clone())).collect()
}

fn when(text: &str, verdict: Verdict) -> (Kind, String, Verdict) {
    (Kind::When, text.to_owned(), verdict)
}

fn unless(text: &str, verdict: Verdict) -> (Kind, String, Verdict) {
    (Kind::Unless, text.to_owned(), verdict)
}

#[test]
fn names_each_failing_condition() {
    let found = conditions(
        "when { principal.repository_id == \"123456\" && principal.ref == \"refs/heads/topic\" && \
         [\"read\"].containsAll(context.scopes) }",
    );
    assert_eq!(
        found,
        [
            when("principal.repository_id == \"123456\"", Verdict::Holds),
            when("principal.ref == \"refs/heads/topic\"", Verdict::Fails),
            when("[\"read\"].containsAll(context.scopes)", Verdict::Holds),
        ]
    );
}

/// If nothing permits, the closest `permit` comes first; a `forbid` that matches or may match is sorted by distance.
#[test]
fn sorts_closest_policies_first() {
    let order = |closed: &str, near: &str| {
        let permit = |id: &str, condition: &str| {
            PERMIT
                .replace("\"api\"", &format!("\"{id}\""))
                .replace("when { [\"read\"].containsAll(context.scopes) }", &format!("when {{ {condition} }}"))
        };
        let forbid = format!(
            "@id(\"a-closed\") forbid (principal is GitHub::Workflow, action, resource) \
             when {{ principal.ref == \"{closed}\" }};\n"
        );
        let far = permit("b-far", "principal.repository_id == \"9\" && principal.ref == \"x\"");
        let near = permit("c-near", &format!("principal.repository_id == \"123456\" && principal.ref == \"{near}\""));
        let bundle = with_rules(&format!("{forbid}{far}{near}"));
        let explanation = explain::explain(&bundle, &asked()).expect("decided");
        let (near, far) = explanation.by_distance();
        assert_eq!(far.len(), 0);
        let ids: Vec<String> = near.iter().map(|rule| rule.id.clone()).collect();
        (explanation.decision.effect, ids.join(" "))
    };
    let (main, other) = ("refs/heads/main", "refs/heads/other");
    let said = |effect, order: &str| (effect, order.to_owned());
    assert_eq!(order(other, other), said(Effect::Deny, "c-near b-far a-closed"));
    assert_eq!(order(main, main), said(Effect::Deny, "a-closed c-near b-far"));
    assert_eq!(order(other, main), said(Effect::Permit, "c-near a-closed b-far"));
}

#[test]
fn splits_unless_at_alternatives() {
    let found = conditions("unless { principal.ref == \"refs/heads/main\" || principal.ref == \"refs/heads/topic\" }");
    assert_eq!(
        found,
        [
            unless("principal.ref == \"refs/heads/main\"", Verdict::Fails),
            unless("principal.ref == \"refs/heads/topic\"", Verdict::Holds),
        ]
    );
}

#[test]
fn keeps_disjunction_in_when_whole() {
    let text = "(principal.ref == \"refs/heads/topic\") || (principal.ref == \"refs/heads/main\")";
    assert_eq!(conditions(&format!("when {{ {text} }}")), [when(text, Verdict::Holds)]);
}

#[test]
fn marks_guarded_conditions_as_not_reached() {
    let found = conditions("when { principal has run && principal.run > 1 }");
    assert_eq!(found, [when("principal has run", Verdict::Fails), when("principal.run > 1", Verdict::NotReached)]);
}

#[test]
fn shows_error_of_condition() {
    let found = conditions("when { 9223372036854775807 + context.requested_lifetime_seconds > 0 }");
    assert!(
        matches!(&found[..], [(Kind::When, _, Verdict::Errs(reason))]
        if reason.starts_with("integer overflow")),
        "{found:?}"
    );
}

#[test]
fn shows_values_that_conditions_read() {
    let (_, rules) = explain(&PERMIT.replace(
        "[\"read\"].containsAll(context.scopes)",
        "principal.ref == \"a\" && principal has run && [\"read\"].containsAll(context.scopes)",
    ));
    let inputs: Vec<_> = rules[0].conditions.iter().map(|one: &Condition| one.inputs.clone()).collect();
    let input = |name: &str, value: Option<&str>| vec![(name.to_owned(), value.map(str::to_owned))];
    assert_eq!(
        inputs,
        [
            input("principal.ref", Some("\"refs/heads/main\"")),
            input("principal.run", None),
            input("context.scopes", Some("[\"read\"]")),
        ]
    );
}

#[test]
fn names_scope_parts_that_mismatch() {
    let rules = format!(
        "{PERMIT}
         @id(\"other-issuer\") permit (principal is GitHub::Workflow in Issuer::\"ghes\", action, resource) when {{ context.scopes.isEmpty() }};
         @id(\"other-audience\") forbid (principal, action, resource == Audience::\"https://b.example\");"
    );
    let bundle = load(&[
        ("issuers/ghes.toml", Some(GHES)),
        ("audiences/b.toml", Some("id = \"https://b.example\"\n")),
        ("rules/api.cedar", Some(&rules)),
    ])
    .unwrap_or_else(|invalid| panic!("{invalid}"));
    let (effect, rules) = explain_in(&bundle);
    assert_eq!(effect, Effect::Permit);
    let mismatches: Vec<(&str, &[&str])> =
        rules.iter().map(|rule| (rule.id.as_str(), rule.scope_mismatches.as_slice())).collect();
    assert_eq!(
        mismatches,
        [("api", &[][..]), ("other-issuer", &["principal"][..]), ("other-audience", &["resource"][..]),]
    );
    assert!(rules[0].matches() && !rules[1].matches() && !rules[2].matches());
}

fn of_claims(bundle: &Bundle, text: &str) -> Result<Principal, ClaimsError> {
    let issuer = bundle.issuer("https://two.example").expect("it is there");
    let claims = JsonObject::parse(text.as_bytes()).expect("it is an object");
    principal_of_claims(issuer, &claims)
}

/// A bundle with an `oidc` issuer of one claim of each type.
fn with_typed_claims(more: &str) -> Bundle {
    let content = format!(
        "issuer = \"https://two.example\"\nprovider = \"oidc\"\n{more}\n[claims]\n\
         repository_id = {{ type = \"text\" }}\nrun = {{ type = \"integer\", required = false }}\n\
         protected = {{ type = \"boolean\", required = false }}\n\
         teams = {{ type = \"text-set\", required = false }}\n"
    );
    load(&[("issuers/two.toml", Some(&content))]).unwrap_or_else(|invalid| panic!("{invalid}"))
}

#[test]
fn types_principal_by_declared_claims() {
    let found = of_claims(
        &with_typed_claims(""),
        r#"{"sub":"a","repository_id":"1","run":7,"protected":true,"teams":["c"],"other":{"d":1},"exp":1.5}"#,
    )
    .expect("it fits");
    let attributes: Vec<(&str, &AttributeValue)> =
        found.attributes.iter().map(|one| (one.name.as_str(), &one.value)).collect();
    assert_eq!(
        attributes,
        [
            ("protected", &AttributeValue::Boolean(true)),
            ("repository_id", &AttributeValue::Text("1".to_owned())),
            ("run", &AttributeValue::Integer(7)),
            ("teams", &AttributeValue::TextSet(vec!["c".to_owned()])),
        ]
    );
    assert_eq!((found.id.as_str(), found.issuer_name.as_str()), ("a", "two"));
}

#[test]
fn distinguishes_missing_and_mistyped_claims() {
    let bundle = with_typed_claims("");
    let check = |text: &str, expected: &str| {
        let error = of_claims(&bundle, text).expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    };
    let no_sub = "claim `sub` is missing or not a string";
    check(r#"{"repository_id":"1"}"#, no_sub);
    check(r#"{"sub":1,"repository_id":"1"}"#, no_sub);
    check(r#"{"sub":"a"}"#, "claim `repository_id` is missing");
    check(r#"{"sub":"a","repository_id":""}"#, "claim `repository_id` is empty");
    check(r#"{"sub":"a","repository_id":1}"#, "claim `repository_id` is not a string");
    for run in ["\"7\"", "1.5", "null"] {
        check(&format!(r#"{{"sub":"a","repository_id":"1","run":{run}}}"#), "claim `run` is not an integer");
    }
    check(r#"{"sub":"a","repository_id":"1","protected":0}"#, "claim `protected` is not a boolean");
    for teams in ["\"c\"", "[1]"] {
        check(
            &format!(r#"{{"sub":"a","repository_id":"1","teams":{teams}}}"#),
            "claim `teams` is not an array of strings",
        );
    }
}

#[test]
fn refuses_claims_without_required_values() {
    let bundle = with_typed_claims("require = { repository_id = [\"1\", \"2\"], sub = \"a\" }");
    for (sub, id, refused) in [
        ("a", "1", None),
        ("a", "2", None),
        ("a", "3", Some("repository_id")),
        ("a", "12", Some("repository_id")),
        ("b", "1", Some("sub")),
    ] {
        let text = format!(r#"{{"sub":"{sub}","repository_id":"{id}"}}"#);
        let expected = refused.map(|name| ClaimsError::NotRequired(name.to_owned()));
        assert_eq!(of_claims(&bundle, &text).err(), expected, "{text}");
    }
}
