//! `act` and `may_act` (RFC 8693 §4): refused unless the issuer's file allows them, in which case the actor is exposed.

use serde_json::json;

use super::*;
use crate::claims::{ACTORS_MAX, SUB_BYTES_MAX};
use crate::issuer::IssuerError;

fn allowing() -> TrustedIssuer {
    let record = IssuerRecord { allow_act: true, ..testkit::issuer_record() };
    TrustedIssuer::try_from(record).unwrap()
}

/// The `act_sub` of a token with this `act`, from an issuer that allows delegation.
fn actor(act: Value) -> Result<Option<String>, TokenError> {
    let token = mint(&claims_with("act", Some(act)));
    let subject = verify(&token, &allowing(), &keys(), NOW)?.into_subject();
    assert_eq!(subject.principal.id, "workload");
    let actor = |attribute: Attribute| match attribute.value {
        AttributeValue::Text(text) if attribute.name == "act_sub" => Some(text),
        _ => None,
    };
    Ok(subject.principal.attributes.into_iter().find_map(actor))
}

/// A chain of `actors` actors.
fn chain(actors: usize) -> Value {
    let first = json!({ "sub": "first" });
    (1..actors).fold(first, |act, index| json!({ "sub": format!("service-{index}"), "act": act }))
}

#[test]
fn refuses_delegated_tokens_by_default() {
    for name in ["act", "may_act"] {
        for value in [json!({ "sub": "service" }), json!({}), json!(null), json!("")] {
            check_claim(name, Some(value), Err(invalid(name)));
        }
    }
}

#[test]
fn exposes_current_actor_if_allowed() {
    let service = Ok(Some("service".to_owned()));
    assert_eq!(actor(json!({ "sub": "service" })), service);
    let own = json!({ "sub": "service", "iss": testkit::ISSUER });
    assert_eq!(actor(own), service);
    // Prior actors are informational, and need no `sub`.
    let nested = json!({ "sub": "service", "act": { "sub": "prior", "act": {} } });
    assert_eq!(actor(nested), service);
    // Without `act` there is no actor; `may_act` does not create one.
    for name in ["x", "may_act"] {
        let token = mint(&claims_with(name, Some(json!({ "sub": "service" }))));
        let subject = verify(&token, &allowing(), &keys(), NOW).unwrap();
        assert_eq!(subject.subject().principal.attributes, []);
    }
}

#[test]
fn refuses_unnamed_actors() {
    for act in [
        json!(null),
        json!("service"),
        json!([{ "sub": "service" }]),
        json!({}),
        json!({ "sub": "" }),
        json!({ "sub": 1 }),
        json!({ "sub": "a\nb" }),
        json!({ "sub": "s".repeat(SUB_BYTES_MAX + 1) }),
        json!({ "sub": "service", "act": "prior" }),
        json!({ "sub": "service", "act": null }),
        json!({ "client_id": "service" }),
        // The same `sub` from another issuer may identify someone else.
        json!({ "sub": "service", "iss": "https://other.example" }),
        json!({ "sub": "service", "iss": null }),
    ] {
        let shown = act.to_string();
        assert_eq!(actor(act), Err(invalid("act")), "{shown}");
    }
    let longest = "s".repeat(SUB_BYTES_MAX);
    assert_eq!(actor(json!({ "sub": longest })), Ok(Some(longest)));
}

#[test]
fn bounds_actor_chain() {
    let current = format!("service-{}", ACTORS_MAX - 1);
    assert_eq!(actor(chain(ACTORS_MAX)), Ok(Some(current)));
    assert_eq!(actor(chain(ACTORS_MAX + 1)), Err(invalid("act")));
}

/// A declared claim cannot stand for the actor, nor do other providers have one.
#[test]
fn refuses_records_with_ambiguous_act_sub() {
    let declared = declared("act_sub", ClaimType::Text, false);
    for (provider, claims) in [("oidc", vec![declared]), ("github", vec![])] {
        let record =
            IssuerRecord { provider: provider.to_owned(), claims, allow_act: true, ..testkit::issuer_record() };
        assert_eq!(TrustedIssuer::try_from(record).map(drop), Err(IssuerError::Actor));
    }
}
