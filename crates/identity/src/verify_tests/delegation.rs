//! `act`, `may_act` and `scope` (RFC 8693 §4): the first two are refused unless the issuer's file allows them.

use serde_json::json;
use vouchsafe_types::{ACTORS_BYTES_MAX, ACTORS_MAX, Actor, TXN_BYTES_MAX};

use super::*;
use crate::actors::ISS_BYTES_MAX;
use crate::claims::SUB_BYTES_MAX;
use crate::issuer::IssuerError;

fn allowing() -> TrustedIssuer {
    let record = IssuerRecord { allow_act: true, ..testkit::issuer_record() };
    TrustedIssuer::try_from(record).unwrap()
}

/// The subject of a token with this claim, from an issuer that allows delegation.
fn subject(name: &str, value: Value) -> Result<Subject, TokenError> {
    let token = mint(&claims_with(name, Some(value)));
    let subject = verify(&token, &allowing(), &keys(), NOW)?.into_subject();
    assert_eq!(subject.principal.id, "workload");
    assert_eq!(subject.principal.attributes, []);
    Ok(subject)
}

fn actors(act: Value) -> Result<Vec<Actor>, TokenError> {
    subject("act", act).map(|subject| subject.actors)
}

fn actor(iss: &str, sub: &str) -> Actor {
    Actor { iss: iss.to_owned(), sub: sub.to_owned() }
}

/// A chain of `actors` actors.
fn chain(actors: usize) -> Value {
    let first = json!({ "sub": "first" });
    (1..actors).fold(first, |act, index| json!({ "sub": format!("service-{index}"), "act": act }))
}

/// Members that do not name an actor.
fn unnamed() -> Vec<Value> {
    vec![
        json!(null),
        json!("service"),
        json!([{ "sub": "service" }]),
        json!({}),
        json!({ "sub": "" }),
        json!({ "sub": 1 }),
        json!({ "sub": "a\nb" }),
        json!({ "sub": "s".repeat(SUB_BYTES_MAX + 1) }),
        json!({ "client_id": "service" }),
        json!({ "sub": "service", "iss": null }),
        json!({ "sub": "service", "iss": "" }),
        json!({ "sub": "service", "iss": "a\nb" }),
        json!({ "sub": "service", "iss": "i".repeat(ISS_BYTES_MAX + 1) }),
        json!({ "iss": testkit::ISSUER }),
    ]
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
fn names_every_actor_if_allowed() {
    let service = || vec![actor(testkit::ISSUER, "service")];
    assert_eq!(actors(json!({ "sub": "service" })), Ok(service()));
    assert_eq!(actors(json!({ "sub": "service", "iss": testkit::ISSUER, "x": 1 })), Ok(service()));
    let elsewhere = json!({ "sub": "service", "iss": "https://b.example", "act": { "sub": "prior" } });
    let expected = vec![actor("https://b.example", "service"), actor(testkit::ISSUER, "prior")];
    assert_eq!(actors(elsewhere), Ok(expected));
    assert_eq!(subject("x", json!(1)).map(|subject| subject.actors), Ok(Vec::new()));
}

#[test]
fn refuses_unnamed_actors() {
    for act in unnamed() {
        assert_eq!(actors(act.clone()), Err(invalid("act")), "{act}");
        assert_eq!(actors(json!({ "sub": "service", "act": act })), Err(invalid("act")), "{act}");
    }
    let (longest_sub, longest_iss) = ("s".repeat(SUB_BYTES_MAX), "i".repeat(ISS_BYTES_MAX));
    let expected = Ok(vec![actor(&longest_iss, &longest_sub)]);
    assert_eq!(actors(json!({ "sub": longest_sub, "iss": longest_iss })), expected);
}

#[test]
fn bounds_number_of_actors() {
    assert_eq!(actors(chain(ACTORS_MAX)).map(|actors| actors.len()), Ok(ACTORS_MAX));
    assert_eq!(actors(chain(ACTORS_MAX + 1)), Err(invalid("act")));
}

#[test]
fn bounds_bytes_of_all_actors() {
    let with = |bytes: usize| {
        let long = |sub: &str, act: Value| json!({ "iss": "i".repeat(1000), "sub": sub, "act": act });
        let innermost = json!({ "iss": "i", "sub": "s".repeat(bytes - 1) });
        actors(long(&"s".repeat(1000), long(&"s".repeat(1000), innermost))).map(|actors| actors.len())
    };
    assert_eq!(with(ACTORS_BYTES_MAX - 4000), Ok(3));
    assert_eq!(with(ACTORS_BYTES_MAX - 4000 + 1), Err(invalid("act")));
}

#[test]
fn names_who_may_act() {
    let may_act = |value: Value| subject("may_act", value).map(|subject| subject.may_act);
    assert_eq!(may_act(json!({ "sub": "service" })), Ok(Some(actor(testkit::ISSUER, "service"))));
    let elsewhere = json!({ "sub": "service", "iss": "https://b.example" });
    assert_eq!(may_act(elsewhere), Ok(Some(actor("https://b.example", "service"))));
    for value in unnamed() {
        assert_eq!(may_act(value.clone()), Err(invalid("may_act")), "{value}");
    }
    // A condition that is not checked would not be honored.
    for more in ["client_id", "act", "aud"] {
        let value = json!({ "sub": "service", more: "x" });
        assert_eq!(may_act(value), Err(invalid("may_act")), "{more}");
    }
}

#[test]
fn states_scopes_of_the_token() {
    let scopes = |value: Value| subject("scope", value).map(|subject| subject.scopes);
    assert_eq!(scopes(json!("read write")), Ok(Some(vec!["read".to_owned(), "write".to_owned()])));
    for other in [json!(["read"]), json!(null), json!(7)] {
        assert_eq!(scopes(other), Ok(Some(Vec::new())));
    }
    assert_eq!(subject("x", json!(1)).map(|subject| subject.scopes), Ok(None));
}

#[test]
fn refuses_actors_of_other_providers() {
    let record = IssuerRecord { provider: "github".to_owned(), allow_act: true, ..testkit::issuer_record() };
    assert_eq!(TrustedIssuer::try_from(record).map(drop), Err(IssuerError::Actor));
}

#[test]
fn carries_short_transaction_ids_only() {
    let txn = |value: Value| subject("txn", value).map(|subject| subject.txn);
    let longest = "t".repeat(TXN_BYTES_MAX);
    assert_eq!(txn(json!("oX3Vb1fPzCkQ8w7uYtRnEA")), Ok(Some("oX3Vb1fPzCkQ8w7uYtRnEA".to_owned())));
    assert_eq!(txn(json!(longest)), Ok(Some(longest.clone())));
    for other in
        [json!(format!("{longest}t")), json!(""), json!("a b"), json!("a\n"), json!("\u{e4}"), json!(1), json!(null)]
    {
        assert_eq!(txn(other.clone()), Ok(None), "{other}");
    }
}
