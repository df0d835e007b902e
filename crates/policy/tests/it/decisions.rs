//! Decisions: deny by default, `forbid` overrides, and errors never permit.

use crate::support::*;
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, DecideError, Decision, Effect, Principal, TokenRequest};

fn decide(bundle: &Bundle, principal: &Principal, request: &TokenRequest) -> Decision {
    bundle.decide(principal, request, NOW).unwrap_or_else(|error| panic!("{error}"))
}

/// The effect, determining policies and erring policies of the standard request under `rules`.
fn outcome(rules: &str) -> (Effect, Vec<String>, Vec<String>) {
    let decision = decide(&with_rules(rules), &principal(), &request());
    (decision.effect, decision.determining_rules, decision.erring_rules)
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Overflows at evaluation, which validation cannot detect.
const OVERFLOW: &str = "9223372036854775807 + context.requested_lifetime_seconds > 0";

#[test]
fn denies_by_default() {
    assert_eq!(outcome(""), (Effect::Deny, vec![], vec![]));
    let other_scope = TokenRequest { scopes: ids(&["write"]), ..request() };
    let decision = decide(&with_rules(PERMIT), &principal(), &other_scope);
    assert_eq!((decision.effect, decision.determining_rules), (Effect::Deny, vec![]));
}

#[test]
fn names_all_matching_permits_sorted() {
    let rules = format!("{}\n{PERMIT}", PERMIT.replace("\"api\"", "\"zz-api\""));
    assert_eq!(outcome(&rules), (Effect::Permit, ids(&["api", "zz-api"]), vec![]));
}

#[test]
fn forbid_overrides_permits() {
    let rules = format!("{PERMIT} @id(\"never\") forbid (principal, action, resource);");
    assert_eq!(outcome(&rules), (Effect::Deny, ids(&["never"]), vec![]));
}

#[test]
fn erring_permit_grants_nothing() {
    let errs = PERMIT.replace("[\"read\"].containsAll(context.scopes)", OVERFLOW);
    assert_eq!(outcome(&errs), (Effect::Deny, vec![], ids(&["api"])));
}

#[test]
fn permits_despite_erring_permit() {
    let errs = PERMIT.replace("[\"read\"].containsAll(context.scopes)", OVERFLOW).replace("\"api\"", "\"errs\"");
    let rules = format!("{PERMIT}\n{errs}");
    assert_eq!(outcome(&rules), (Effect::Permit, ids(&["api"]), ids(&["errs"])));
}

#[test]
fn denies_if_forbid_errs() {
    let errs = format!("@id(\"errs\") forbid (principal, action, resource) when {{ {OVERFLOW} }};");
    let rules = format!("{PERMIT}\n{errs}");
    assert_eq!(outcome(&rules), (Effect::Deny, ids(&["errs"]), ids(&["errs"])));
    assert_eq!(outcome(&errs), (Effect::Deny, ids(&["errs"]), ids(&["errs"])));
}

#[test]
fn names_matching_and_erring_forbids() {
    let rules = format!(
        "@id(\"errs\") forbid (principal, action, resource) when {{ {OVERFLOW} }};
         @id(\"never\") forbid (principal, action, resource);"
    );
    assert_eq!(outcome(&rules), (Effect::Deny, ids(&["errs", "never"]), ids(&["errs"])));
}

#[test]
fn denies_same_claims_from_other_issuer() {
    let ghes = GITHUB.replace("idp.example", "ghes.example");
    let bundle = load(&[("issuers/ghes.toml", Some(&ghes))]).expect("the bundle loads");
    assert_eq!(decide(&bundle, &principal(), &request()).effect, Effect::Permit);
    let other = Principal { issuer_name: "ghes".to_owned(), ..principal() };
    assert_eq!(decide(&bundle, &other, &request()).effect, Effect::Deny);
}

#[test]
fn passes_whole_context_to_policies() {
    let when = |condition: &str| PERMIT.replace("[\"read\"].containsAll(context.scopes)", condition);
    let whole = TokenRequest { client_ip: Some("192.0.2.7".to_owned()), proof_of_possession: true, ..request() };
    for (condition, of_whole, of_plain) in [
        ("context.now == datetime(\"2027-01-01T00:00:00Z\")", Effect::Permit, Effect::Permit),
        ("context.now < datetime(\"2027-01-01T00:00:00Z\")", Effect::Deny, Effect::Deny),
        ("context.requested_lifetime_seconds == 300", Effect::Permit, Effect::Permit),
        ("context.requested_lifetime_seconds < 300", Effect::Deny, Effect::Deny),
        ("context.proof_of_possession", Effect::Permit, Effect::Deny),
        ("context has client_ip && context.client_ip.isInRange(ip(\"192.0.2.0/24\"))", Effect::Permit, Effect::Deny),
        ("context.scopes == [\"read\"]", Effect::Permit, Effect::Permit),
    ] {
        let bundle = with_rules(&when(condition));
        assert_eq!(decide(&bundle, &principal(), &whole).effect, of_whole, "{condition}");
        assert_eq!(decide(&bundle, &principal(), &request()).effect, of_plain, "{condition}");
    }
}

#[test]
fn refuses_attributes_that_violate_schema() {
    let bundle = with_rules(PERMIT);
    let invalid = || Err(DecideError::AttributesInvalid { entity_type: "GitHub::Workflow".to_owned() });
    let with = |more: Attribute| {
        let mut principal = principal();
        principal.attributes.push(more);
        bundle.decide(&principal, &request(), NOW).map(|decision| decision.effect)
    };
    let value = |name: &str, value| Attribute { name: name.to_owned(), value };
    assert_eq!(with(value("run", AttributeValue::Integer(7))), Ok(Effect::Permit));
    assert_eq!(with(value("ref_protected", AttributeValue::Boolean(true))), Ok(Effect::Permit));
    assert_eq!(with(value("teams", AttributeValue::TextSet(ids(&["a", "a"])))), Ok(Effect::Permit));
    assert_eq!(with(value("teams", AttributeValue::TextSet(vec![]))), Ok(Effect::Permit));
    assert_eq!(with(text("run", "7")), invalid());
    assert_eq!(with(text("unknown", "7")), invalid());
    assert_eq!(with(text("ref", "refs/heads/main")), invalid(), "given twice");
    let mut incomplete = principal();
    incomplete.attributes.retain(|attribute| attribute.name != "ref");
    assert_eq!(bundle.decide(&incomplete, &request(), NOW).map(|d| d.effect), invalid());
}

#[test]
fn refuses_unknown_issuer_and_audience() {
    let bundle = with_rules(PERMIT);
    let check = |principal: &Principal, request: &TokenRequest, now, expected: DecideError| {
        assert_eq!(bundle.decide(principal, request, now), Err(expected));
    };
    let stranger = Principal { issuer_name: "ghes".to_owned(), ..principal() };
    check(&stranger, &request(), NOW, DecideError::IssuerUnknown);
    let mistyped = Principal { entity_type: "Oidc::Github".to_owned(), ..principal() };
    let mismatch = DecideError::EntityTypeMismatch {
        issuer: "github".to_owned(),
        expected: "GitHub::Workflow".to_owned(),
        found: "Oidc::Github".to_owned(),
    };
    check(&mistyped, &request(), NOW, mismatch);
    let elsewhere = TokenRequest { audience: "https://api.example/".to_owned(), ..request() };
    check(&principal(), &elsewhere, NOW, DecideError::AudienceUnknown);
    let nowhere = TokenRequest { client_ip: Some("192.0.2.0/24".to_owned()), ..request() };
    check(&principal(), &nowhere, NOW, DecideError::ClientIpInvalid);
    let eternal = TokenRequest { requested_lifetime_seconds: 1 << 63, ..request() };
    check(&principal(), &eternal, NOW, DecideError::LifetimeInvalid);
    check(&principal(), &request(), 253_402_300_800, DecideError::TimeInvalid);
    let edge = TokenRequest { requested_lifetime_seconds: (1 << 63) - 1, ..request() };
    let decision = bundle.decide(&principal(), &edge, 253_402_300_799);
    assert_eq!(decision.map(|decision| decision.effect), Ok(Effect::Permit));
}

#[test]
fn accepts_any_string_as_id_and_attribute() {
    let bundle = with_rules(PERMIT);
    for id in ["", "\"", "a\\\"b", "Issuer::\"github\"", "\u{0}", "naïve ☃"] {
        let odd = Principal {
            id: id.to_owned(),
            attributes: vec![text("repository_id", id), text("ref", id)],
            ..principal()
        };
        assert_eq!(decide(&bundle, &odd, &request()).effect, Effect::Permit, "{id:?}");
    }
}

#[test]
fn records_reproducible_cedar_request() {
    use cedar_policy::{Authorizer, Context, Decision as Cedar, Entities, EntityUid, PolicySet, Request, Schema};
    let whole = TokenRequest { client_ip: Some("2001:db8::1".to_owned()), scopes: ids(&["read"]), ..request() };
    let mut odd = principal();
    odd.attributes.push(Attribute { name: "teams".to_owned(), value: AttributeValue::TextSet(ids(&["a\"b", "☃"])) });
    let kept: serde_json::Value =
        serde_json::from_str(&decide(&with_rules(PERMIT), &odd, &whole).cedar_request).expect("it is JSON");
    let schema: Schema = SCHEMA.parse().expect("the schema parses");
    let uid = |name: &str| EntityUid::from_json(kept[name].clone()).expect("it is a uid");
    let action = uid("action");
    let context =
        Context::from_json_value(kept["context"].clone(), Some((&schema, &action))).expect("the context fits");
    let entities = Entities::from_json_value(kept["entities"].clone(), Some(&schema)).expect("the entities fit");
    let request =
        Request::new(uid("principal"), action, uid("resource"), context, Some(&schema)).expect("the request fits");
    let rules: PolicySet = PERMIT.parse().expect("the rules parse");
    let response = Authorizer::new().is_authorized(&request, &rules, &entities);
    assert_eq!(response.decision(), Cedar::Allow);
}

#[test]
fn includes_every_policy_that_could_match() {
    // Each scope that matches the standard request, as a `forbid`: all must be found.
    let scopes = [
        "principal, action, resource",
        "principal is GitHub::Workflow, action, resource",
        "principal in Issuer::\"github\", action, resource",
        "principal is GitHub::Workflow in Issuer::\"github\", action, resource",
        "principal == GitHub::Workflow::\"repo:octo-org/octo-repo:ref:refs/heads/main\", action, resource",
        "principal, action == Action::\"issue\", resource",
        "principal, action in [Action::\"issue\"], resource",
        "principal, action, resource is Audience",
        "principal, action, resource == Audience::\"https://api.example\"",
        "principal, action, resource in Audience::\"https://api.example\"",
    ];
    let rules: Vec<String> =
        scopes.iter().enumerate().map(|(index, scope)| format!("@id(\"rule-{index}\") forbid ({scope});")).collect();
    let expected: Vec<String> = (0..scopes.len()).map(|index| format!("rule-{index}")).collect();
    assert_eq!(outcome(&rules.join("\n")), (Effect::Deny, expected, vec![]));
}

#[test]
fn separates_issuers_and_audiences_in_any_order() {
    let ghes = GITHUB.replace("idp.example", "ghes.example");
    let other = API.replace("api.example", "other.example");
    let rules = format!(
        "{PERMIT}\n{}",
        PERMIT
            .replace("\"api\"", "\"ghes-other\"")
            .replace("\"github\"", "\"ghes\"")
            .replace("https://api.example", "https://other.example")
    );
    let bundle = load(&[
        ("issuers/ghes.toml", Some(&ghes)),
        ("audiences/other.toml", Some(&other)),
        ("rules/api.cedar", Some(&rules)),
    ])
    .expect("the bundle loads");
    for _ in 0..2 {
        for (issuer, audience, expected) in [
            ("github", "https://api.example", ids(&["api"])),
            ("github", "https://other.example", vec![]),
            ("ghes", "https://api.example", vec![]),
            ("ghes", "https://other.example", ids(&["ghes-other"])),
        ] {
            let principal = Principal { issuer_name: issuer.to_owned(), ..principal() };
            let request = TokenRequest { audience: audience.to_owned(), ..request() };
            assert_eq!(decide(&bundle, &principal, &request).determining_rules, expected);
        }
    }
}

/// Patterns match whole values, `*` is their only operator, and they are case-sensitive.
#[test]
fn patterns_match_whole_values_literally() {
    let of = |pattern: &str, value: &str| {
        let rule = PERMIT.replace("when {", &format!("when {{ principal.ref like \"{pattern}\" &&"));
        let mut principal = principal();
        let attribute = principal.attributes.iter_mut().find(|one| one.name == "ref");
        attribute.expect("it has a ref").value = AttributeValue::Text(value.to_owned());
        decide(&with_rules(&rule), &principal, &request()).effect == Effect::Permit
    };
    for (pattern, value, matches) in [
        ("123", "123", true),
        ("123", "123999", false),
        ("123", "0123", false),
        ("(123|456)", "123", false),
        ("1.3", "123", false),
        ("[0-9]*", "123", false),
        ("refs/heads/*", "refs/heads/main", true),
        ("refs/heads/*", "refs/heads/a/b", true),
        ("refs/heads/*", "xrefs/heads/main", false),
        ("refs/heads/*", "refs/heads", false),
        ("refs/heads/main", "refs/heads/main\n", false),
        ("refs/heads/main", "refs/heads/Main", false),
        ("^refs/heads/main$", "refs/heads/main", false),
        ("*/main", "refs/heads/main", true),
        ("*/main", "refs/heads/main2", false),
        ("", "", true),
        ("*", "", true),
        ("", "a", false),
    ] {
        assert_eq!(of(pattern, value), matches, "{pattern} {value}");
    }
}
