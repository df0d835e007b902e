//! Introspection.

use crate::fake::*;
use serde_json::{Value, json};
use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_revocation::{Attempt, introspect};
use vouchsafe_types::TokenError;

const API: &str = "https://api.example";
const INACTIVE: &str = r#"{"active":false}"#;

fn ask(fake: &Fake, scopes: &str, body: &str) -> Attempt {
    let credentials = bearer(&token("caller", INTROSPECT, scopes));
    done(introspect(fake, &credentials, body.as_bytes()))
}

fn body(token: &str) -> String {
    format!("token={}", token.replace('|', "%7C").replace(' ', "+"))
}

fn check_inactive(fake: &Fake, scopes: &str, token: &str, calls: &[&str]) {
    let attempt = ask(fake, scopes, &body(token));
    assert_eq!(attempt.outcome.unwrap(), INACTIVE, "{token}");
    assert_eq!(attempt.decision_id.as_deref(), Some("caller"));
    assert_eq!(fake.calls(), calls, "{token}");
}

#[test]
fn describes_an_active_token() {
    let fake = Fake::default();
    let answer = ask(&fake, "https://other.example https://api.example", &body(&token("t", API, "read write")));
    let answer: Value = serde_json::from_str(&answer.outcome.unwrap()).unwrap();
    let expected = json!({
        "active": true, "iss": ISSUER, "sub": "github:t", "aud": API, "client_id": "github:t", "scope": "read write",
        "iat": NOW - 10, "exp": NOW + 290, "jti": "t", "token_type": "Bearer",
    });
    assert_eq!(answer, expected);
    assert_eq!(fake.calls(), ["verify caller", "verify t", "active caller,t"]);
}

/// RFC 9449 §6.2. giantswarm/mcp-oauth#386 left `cnf` out, so resource servers took the token for anybody's.
#[test]
fn names_the_key_of_a_bound_token() {
    let fake = Fake::default();
    let described = || -> Value {
        let answer = ask(&fake, API, &body(&token("bound", API, "read")));
        serde_json::from_str(&answer.outcome.unwrap()).unwrap()
    };
    let answer = described();
    assert_eq!((&answer["token_type"], &answer["cnf"]), (&json!("DPoP"), &json!({ "jkt": THUMBPRINT })));
}

/// `kc#53029`: the actor was left out, so that whoever acts for a subject passed for the subject.
#[test]
fn names_the_actors_of_a_token() {
    let fake = Fake::default();
    let described = |jti: &str| -> Value {
        serde_json::from_str(&ask(&fake, API, &body(&token(jti, API, "read"))).outcome.unwrap()).unwrap()
    };
    let before = json!({ "iss": "https://cluster.example", "sub": "before" });
    assert_eq!(described("acting")["act"], json!({ "iss": "https://cluster.example", "sub": "agent", "act": before }));
    assert_eq!(described("t").get("act"), None);
}

#[test]
fn omits_scope_of_tokens_without() {
    let fake = Fake::default();
    let answer = ask(&fake, API, &body(&token("t", API, ""))).outcome.unwrap();
    assert!(!answer.contains("scope"), "{answer}");
}

/// nocturne#668, esignet#2530 and others told any client about any token.
#[test]
fn tells_nothing_of_other_audiences() {
    let fake = Fake::default();
    for scopes in ["", "https://other.example", "https://api.example/", "https://api.exampl", "introspect"] {
        check_inactive(&fake, scopes, &token("t", API, "read"), &["verify caller", "active caller"]);
    }
}

#[test]
fn refuses_every_bad_token_alike() {
    let fake = Fake::default();
    check_inactive(&fake, API, "garbage", &["verify caller", "active caller"]);
    let long = "x".repeat(SUBJECT_TOKEN_BYTES_MAX + 1);
    check_inactive(&fake, API, &long, &["verify caller", "active caller"]);
    fake.revoked.borrow_mut().push("t");
    check_inactive(&fake, API, &token("t", API, "read"), &["verify caller", "verify t", "active caller,t"]);
    for error in [TokenError::Expired, TokenError::SignatureInvalid, TokenError::IssuerUntrusted] {
        fake.verify_error.replace(Some(error));
        check_inactive(&fake, API, &token("t", API, "read"), &["verify caller", "verify t", "active caller"]);
    }
}

#[test]
fn refuses_revoked_callers_whatever_the_token() {
    let fake = Fake::default();
    fake.revoked.borrow_mut().push("caller");
    for text in ["garbage".to_owned(), token("t", API, "read"), token("t", "https://other.example", "")] {
        let refused = ask(&fake, API, &body(&text)).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.slug), (401, "caller.invalid"));
    }
}

/// An administrator's token is not one of a resource server.
#[test]
fn admin_tokens_cannot_introspect() {
    let fake = Fake::default();
    let credentials = bearer(&token("caller", ADMIN, API));
    let refused = done(introspect(&fake, &credentials, b"token=t")).outcome.unwrap_err();
    assert_eq!((refused.slug, &*refused.detail), ("caller.invalid", "token.audience_mismatch"));
}

#[test]
fn requires_the_token_once() {
    let fake = Fake::default();
    for (body, slug) in [
        ("", "request.parameter_missing"),
        ("token=", "request.parameter_missing"),
        ("token_type_hint=access_token", "request.parameter_missing"),
        ("token=a&token=b", "request.parameter_repeated"),
        ("token=%zz", "request.malformed"),
    ] {
        let refused = ask(&fake, API, body).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.error.error, refused.slug), (400, "invalid_request", slug), "{body}");
    }
    let large = vec![b'a'; vouchsafe_exchange::limits::BODY_BYTES_MAX + 1];
    let credentials = bearer(&token("caller", INTROSPECT, API));
    let refused = done(introspect(&fake, &credentials, &large)).outcome.unwrap_err();
    assert_eq!((refused.error.status, refused.slug), (413, "request.too_large"));
}

#[test]
fn ignores_the_hint() {
    let fake = Fake::default();
    for hint in ["access_token", "refresh_token", "nonsense"] {
        let body = format!("{}&token_type_hint={hint}", body(&token("t", API, "read")));
        assert!(ask(&fake, API, &body).outcome.unwrap().contains("\"active\":true"), "{hint}");
    }
}
