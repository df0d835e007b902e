//! Why a request is permitted or denied.

use crate::support::*;
use vouchsafe_policy::explain::{ClaimsError, Condition, Kind, RuleExplanation, Verdict};
use vouchsafe_policy::{AttributeValue, Bundle, Effect, Principal};

const GHES: &str = "issuer = \"https://ghes.example\"\nprovider = \"github\"\n";

fn explain(rules: &str) -> (Effect, Vec<RuleExplanation>) {
    explain_in(&with_rules(rules))
}

fn explain_in(bundle: &Bundle) -> (Effect, Vec<RuleExplanation>) {
    let explanation = bundle
        .explain(&principal(), &request(), NOW)
        .unwrap_or_else(|error| panic!("{error}"));
    (explanation.decision.effect, explanation.rules)
}

/// Kind, text and verdict of each condition of a `permit` with these conditions.
fn conditions(conditions: &str) -> Vec<(Kind, String, Verdict)> {
    let rule = PERMIT.replace(
        "when { [\"read\"].containsAll(context.scopes) }",
        conditions,
    );
    let (_, rules) = explain(&rule);
    rules[0]
        .conditions
        .iter()
        .map(|one| (one.kind, one.text.clone(), one.verdict.clone()))
        .collect()
}

fn when(text: &str, verdict: Verdict) -> (Kind, String, Verdict) {
    (Kind::When, text.to_owned(), verdict)
}

fn unless(text: &str, verdict: Verdict) -> (Kind, String, Verdict) {
    (Kind::Unless, text.to_owned(), verdict)
}

#[test]
fn names_each_condition_that_fails() {
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

#[test]
fn takes_an_unless_apart_at_its_alternatives() {
    let found = conditions(
        "unless { principal.ref == \"refs/heads/main\" || principal.ref == \"refs/heads/topic\" }",
    );
    assert_eq!(
        found,
        [
            unless("principal.ref == \"refs/heads/main\"", Verdict::Fails),
            unless("principal.ref == \"refs/heads/topic\"", Verdict::Holds),
        ]
    );
}

#[test]
fn does_not_take_an_or_of_a_when_apart() {
    let text = "(principal.ref == \"refs/heads/topic\") || (principal.ref == \"refs/heads/main\")";
    assert_eq!(
        conditions(&format!("when {{ {text} }}")),
        [when(text, Verdict::Holds)]
    );
}

#[test]
fn says_not_reached_where_an_earlier_condition_guards() {
    let found = conditions("when { principal has run && principal.run > 1 }");
    assert_eq!(
        found,
        [
            when("principal has run", Verdict::Fails),
            when("principal.run > 1", Verdict::NotReached)
        ]
    );
}

#[test]
fn says_why_a_condition_errs() {
    let found = conditions("when { 9223372036854775807 + context.requested_lifetime_seconds > 0 }");
    assert!(
        matches!(&found[..], [(Kind::When, _, Verdict::Errs(reason))]
        if reason.starts_with("integer overflow")),
        "{found:?}"
    );
}

#[test]
fn gives_the_values_that_a_condition_reads() {
    let (_, rules) = explain(&PERMIT.replace(
        "[\"read\"].containsAll(context.scopes)",
        "principal.ref == \"a\" && principal has run && [\"read\"].containsAll(context.scopes)",
    ));
    let inputs: Vec<_> = rules[0]
        .conditions
        .iter()
        .map(|one: &Condition| one.inputs.clone())
        .collect();
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
fn says_which_part_of_a_scope_is_of_another_request() {
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
    let mismatches: Vec<(&str, &[&str])> = rules
        .iter()
        .map(|rule| (rule.id.as_str(), rule.scope_mismatches.as_slice()))
        .collect();
    assert_eq!(
        mismatches,
        [
            ("api", &[][..]),
            ("other-issuer", &["principal"][..]),
            ("other-audience", &["resource"][..]),
        ]
    );
    assert!(rules[0].matches() && !rules[1].matches() && !rules[2].matches());
}

fn claims(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).expect("it is an object")
}

fn of_claims(bundle: &Bundle, text: &str) -> Result<Principal, ClaimsError> {
    let issuer = bundle.issuer("https://idp.example").expect("it is there");
    bundle.principal_of_claims(issuer, &claims(text))
}

#[test]
fn makes_the_principal_that_the_schema_types() {
    let bundle = with_rules(PERMIT);
    let found = of_claims(
        &bundle,
        r#"{"sub":"a","repository_id":"1","ref":"b","run":7,"ref_protected":true,
            "teams":["c"],"other":{"d":1},"exp":1.5}"#,
    )
    .expect("it fits");
    let attributes: Vec<(&str, &AttributeValue)> = found
        .attributes
        .iter()
        .map(|one| (one.name.as_str(), &one.value))
        .collect();
    assert_eq!(
        attributes,
        [
            ("ref", &AttributeValue::Text("b".to_owned())),
            ("ref_protected", &AttributeValue::Boolean(true)),
            ("repository_id", &AttributeValue::Text("1".to_owned())),
            ("run", &AttributeValue::Integer(7)),
            ("teams", &AttributeValue::TextSet(vec!["c".to_owned()])),
        ]
    );
    assert_eq!(
        (found.id.as_str(), found.issuer_name.as_str()),
        ("a", "github")
    );
}

#[test]
fn tells_missing_claims_from_wrongly_typed_ones() {
    let bundle = with_rules(PERMIT);
    let wrong = |name: &str, expected| {
        Err(ClaimsError::WrongType {
            name: name.to_owned(),
            expected,
        })
    };
    let missing = |name: &str| Err(ClaimsError::Missing(name.to_owned()));
    for (text, expected) in [
        (r#"{"repository_id":"1","ref":"b"}"#, missing("sub")),
        (r#"{"sub":"a","ref":"b"}"#, missing("repository_id")),
        (
            r#"{"sub":1,"repository_id":"1","ref":"b"}"#,
            wrong("sub", "a text"),
        ),
        (
            r#"{"sub":"a","repository_id":1,"ref":"b"}"#,
            wrong("repository_id", "a text"),
        ),
        (
            r#"{"sub":"a","repository_id":"1","ref":"b","run":"7"}"#,
            wrong("run", "an integer"),
        ),
        (
            r#"{"sub":"a","repository_id":"1","ref":"b","run":1.5}"#,
            wrong("run", "an integer"),
        ),
        (
            r#"{"sub":"a","repository_id":"1","ref":"b","ref_protected":0}"#,
            wrong("ref_protected", "a boolean"),
        ),
        (
            r#"{"sub":"a","repository_id":"1","ref":"b","teams":"c"}"#,
            wrong("teams", "an array of texts"),
        ),
        (
            r#"{"sub":"a","repository_id":"1","ref":"b","teams":[1]}"#,
            wrong("teams", "an array of texts"),
        ),
    ] {
        assert_eq!(of_claims(&bundle, text), expected, "{text}");
    }
}

/// GitLab sends some claims as `null` where they do not apply; identity takes them for absent.
#[test]
fn takes_null_for_absent_where_the_identity_crate_does() {
    use vouchsafe_identity::providers::gitlab;
    let attributes: Vec<String> = gitlab::CLAIMS
        .iter()
        .map(|claim| {
            let cedar = match claim.claim_type {
                vouchsafe_identity::providers::ClaimType::Boolean => "Bool",
                vouchsafe_identity::providers::ClaimType::Integer => "Long",
                vouchsafe_identity::providers::ClaimType::Text => "String",
                vouchsafe_identity::providers::ClaimType::TextSet => "Set<String>",
            };
            format!("{}?: {cedar}", claim.name)
        })
        .collect();
    let types = format!(
        "namespace GitLab {{ entity Job in [Issuer] = {{ {} }}; }}",
        attributes.join(", ")
    );
    let schema = format!("{SCHEMA}{types}").replace(
        "principal: [GitHub::Workflow]",
        "principal: [GitHub::Workflow, GitLab::Job]",
    );
    let issuer = "issuer = \"https://gitlab.example\"\nprovider = \"gitlab\"\n";
    let bundle = load(&[
        ("schema.cedarschema", Some(&schema)),
        ("issuers/gitlab.toml", Some(issuer)),
    ])
    .unwrap_or_else(|invalid| panic!("{invalid}"));
    let gitlab_issuer = bundle
        .issuer("https://gitlab.example")
        .expect("it is there");
    for claim in gitlab::CLAIMS {
        let claims = claims(&format!("{{\"sub\":\"a\",\"{}\":null}}", claim.name));
        let found = bundle.principal_of_claims(gitlab_issuer, &claims);
        assert_eq!(found.is_ok(), claim.nullable, "{}", claim.name);
    }
}
