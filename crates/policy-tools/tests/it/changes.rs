//! The smallest change that would be permitted, and requests recovered from records.

use crate::support::*;
use vouchsafe_policy::{Attribute, AttributeValue, Bundle, Effect, Principal, TokenRequest};
use vouchsafe_policy_tools::{Change, RecordError, RecordedRequest, smallest_change};

fn principal() -> Principal {
    let text =
        |name: &str, value: &str| Attribute { name: name.to_owned(), value: AttributeValue::Text(value.to_owned()) };
    Principal {
        entity_type: "GitHub::Workflow".to_owned(),
        id: "a".to_owned(),
        issuer_name: "github".to_owned(),
        attributes: vec![text("repository_id", "1"), text("ref", "refs/heads/main")],
    }
}

fn request(scopes: &[&str], lifetime: u64) -> TokenRequest {
    TokenRequest {
        audience: "https://api.example".to_owned(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        requested_lifetime_seconds: lifetime,
        client_ip: None,
        proof_of_possession: false,
    }
}

fn bundle(condition: &str) -> Bundle {
    let rules = RULES.replace("[\"read\"].containsAll(context.scopes)", condition);
    let other = "id = \"https://other.example\"\nscopes = [\"read\"]\nmax_lifetime = \"5m\"\n";
    let for_other = "@id(\"other\") permit (principal is GitHub::Workflow in Issuer::\"github\", action, \
        resource == Audience::\"https://other.example\") when { context.scopes == [\"read\"] };";
    let files = files(&[
        ("rules/api.cedar", Some(&rules)),
        ("audiences/other.toml", Some(other)),
        ("rules/other.cedar", Some(for_other)),
    ]);
    Bundle::load(&files, &environment()).unwrap_or_else(|invalid| panic!("{invalid}"))
}

fn change(condition: &str, request: &TokenRequest) -> Option<Change> {
    smallest_change(&bundle(condition), &principal(), request, NOW)
}

fn of(audience: Option<&str>, scopes: Option<&[&str]>, lifetime: Option<u64>, rule: &str) -> Option<Change> {
    Some(Change {
        audience: audience.map(str::to_owned),
        scopes: scopes.map(|scopes| scopes.iter().map(|it| (*it).to_owned()).collect()),
        lifetime_seconds: lifetime,
        policies: vec![rule.to_owned()],
        ..Change::default()
    })
}

const BOUND: &str = "[\"read\"].containsAll(context.scopes)";

#[test]
fn keeps_most_permitted_scopes() {
    assert_eq!(change(BOUND, &request(&["read"], 300)), None);
    let read: &[&str] = &["read"];
    assert_eq!(change(BOUND, &request(&["write", "read"], 300)), of(None, Some(read), None, "api"));
    // Without scopes it would be permitted, but such a token is of no use.
    assert_eq!(change(BOUND, &request(&["write"], 300)), None);
    let wants = "context.scopes.contains(\"write\")";
    assert_eq!(change(wants, &request(&["read"], 300)), of(None, Some(&["read", "write"]), None, "api"));
}

#[test]
fn proposes_closest_lifetime() {
    let condition = format!("{BOUND} && context.requested_lifetime_seconds <= 120");
    assert_eq!(change(&condition, &request(&["read"], 120)), None);
    assert_eq!(change(&condition, &request(&["read"], 300)), of(None, None, Some(120), "api"));
    // Of scopes and lifetime, only the necessary one changes.
    let read: &[&str] = &["read"];
    assert_eq!(change(&condition, &request(&["write", "read"], 300)), of(None, Some(read), Some(120), "api"));
    // No lifetime above the audience's maximum of 900 s is proposed.
    let long = format!("{BOUND} && context.requested_lifetime_seconds >= 901");
    assert_eq!(change(&long, &request(&["read"], 300)), of(Some("https://other.example"), None, None, "other"));
    let at_most = format!("{BOUND} && context.requested_lifetime_seconds >= 900");
    assert_eq!(change(&at_most, &request(&["read"], 300)), of(None, None, Some(900), "api"));
}

#[test]
fn proposes_time_and_address_before_audience() {
    // 2027-01-01T09:00:00Z, nine hours after the request.
    let time = "context.now >= datetime(\"2027-01-01T09:00:00Z\")";
    let address = "context has client_ip && context.client_ip.isInRange(ip(\"192.0.2.0/24\"))";
    let changed = |condition: &str| change(&format!("{BOUND} && {condition}"), &request(&["read"], 300));
    let (at, client_ip) = (Some(NOW + 9 * 3600), Some("192.0.2.0".to_owned()));
    let of_api = || Change { policies: vec!["api".to_owned()], ..Change::default() };
    assert_eq!(changed(time), Some(Change { at, ..of_api() }));
    assert_eq!(changed(address), Some(Change { client_ip: client_ip.clone(), ..of_api() }));
    assert_eq!(changed(&format!("{time} && {address}")), Some(Change { at, client_ip, ..of_api() }));
    // 169 full hours are tried: the last one is a week after the next.
    let by = |hours: u64| {
        let at = vouchsafe_policy::to_rfc3339(NOW + hours * 3600).expect("a date");
        changed(&format!("context.now >= datetime(\"{at}\")")).and_then(|change| change.at)
    };
    assert_eq!(by(169), Some(NOW + 169 * 3600));
    assert_eq!(by(170), None);
}

#[test]
fn proposes_another_audience_last() {
    let nobody = "principal.ref == \"refs/heads/none\"";
    let other = Some("https://other.example");
    assert_eq!(change(nobody, &request(&["read"], 300)), of(other, None, None, "other"));
    assert_eq!(change(nobody, &request(&["read", "write"], 600)), of(other, Some(&["read"]), Some(300), "other"));
}

#[test]
fn proposes_nothing_if_principal_must_change() {
    let mut principal = principal();
    principal.attributes[1].value = AttributeValue::Text("refs/heads/closed".to_owned());
    let found = smallest_change(&bundle(BOUND), &principal, &request(&["read"], 300), NOW);
    assert_eq!(found, None, "`never` forbids whatever is asked for");
}

#[test]
fn every_proposed_change_is_permitted() {
    let bundle = bundle(&format!("{BOUND} && context.requested_lifetime_seconds <= 120"));
    for scopes in [&["read"][..], &["write"], &["read", "write"], &["a", "b", "c", "d", "e", "f", "g", "read"]] {
        for lifetime in [1, 119, 120, 121, 900, 901] {
            let request = request(scopes, lifetime);
            let Some(change) = smallest_change(&bundle, &principal(), &request, NOW) else {
                continue;
            };
            let changed = TokenRequest {
                audience: change.audience.unwrap_or(request.audience),
                scopes: change.scopes.unwrap_or(request.scopes),
                requested_lifetime_seconds: change.lifetime_seconds.unwrap_or(lifetime),
                ..request
            };
            let decision = bundle.decide(&principal(), &changed, NOW).expect("it is decided");
            assert_eq!(decision.determining_rules, change.policies, "{changed:?}");
        }
    }
}

#[test]
fn recovers_request_from_record() {
    let bundle = bundle(BOUND);
    let mut principal = principal();
    principal.attributes.push(Attribute { name: "run".to_owned(), value: AttributeValue::Integer(-5) });
    principal.attributes.sort_by(|one, next| one.name.cmp(&next.name));
    let request = TokenRequest {
        client_ip: Some("2001:db8::1".to_owned()),
        proof_of_possession: true,
        ..request(&["read", "write"], 77)
    };
    let decision = bundle.decide(&principal, &request, NOW).expect("it is decided");
    let expected = RecordedRequest { principal, actor: None, request, now: NOW };
    assert_eq!(RecordedRequest::parse(&decision.cedar_request), Ok(expected));
}

/// The cases of the example bundle, in which an agent acts for jobs.
#[test]
fn recovers_request_with_an_actor() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/agents");
    let files = vouchsafe_policy::folder::read(&root).unwrap_or_else(|invalid| panic!("{invalid}"));
    let bundle = Bundle::load(&files, &environment()).unwrap_or_else(|invalid| panic!("{invalid}"));
    let mut permitted = 0;
    for case in vouchsafe_policy_tools::cases::read(&files, &bundle).expect("cases") {
        let Some(actor) = &case.actor else { continue };
        let decision = case.decide(&bundle).expect("it is decided");
        if decision.effect == Effect::Deny {
            continue;
        }
        permitted += 1;
        let found = RecordedRequest::parse(&decision.cedar_request).expect("a request");
        assert_eq!((&found.principal, found.actor.as_ref()), (&case.principal, Some(actor)), "{}", case.path);
        assert_eq!((&found.request, found.now), (&case.request, case.now));
        assert_eq!(found.decide(&bundle), Ok(decision));
    }
    assert_eq!(permitted, 1);
}

#[test]
fn refuses_incomplete_record() {
    let bundle = bundle(BOUND);
    let decision = bundle.decide(&principal(), &request(&["read"], 300), NOW).expect("decided");
    let whole: serde_json::Value = serde_json::from_str(&decision.cedar_request).expect("JSON");
    let without = |pointer: &str, name: &str| {
        let mut part = whole.clone();
        let members = part.pointer_mut(pointer).and_then(|it| it.as_object_mut());
        members.expect("an object").remove(name).expect("it was there");
        RecordedRequest::parse(&part.to_string())
    };
    assert_eq!(RecordedRequest::parse("{"), Err(RecordError::NotJson));
    assert_eq!(RecordedRequest::parse("{}"), Err(RecordError::Part("now")));
    for name in ["now", "scopes", "requested_lifetime_seconds", "proof_of_possession"] {
        assert_eq!(without("/context", name), Err(RecordError::Part(name)), "{name}");
    }
    assert_eq!(without("", "principal"), Err(RecordError::Part("principal")));
    assert_eq!(without("/entities/0", "parents"), Err(RecordError::Part("parents")));
}
