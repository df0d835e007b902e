//! Introspection.

use crate::fake::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_revocation::{Attempt, AuthenticatedClient, Credentials, Introspection, JWT_MEDIA_TYPE, introspect};
use vouchsafe_types::TokenError;

const API: &str = "https://api.example";
const INACTIVE: &str = r#"{"active":false}"#;

fn ask(fake: &Fake, scopes: &str, body: &str) -> Attempt {
    send(fake, &[format!("Bearer {}", token("caller", INTROSPECT, scopes))], body, None)
}

fn send(fake: &Fake, authorization: &[String], body: &str, accept: Option<&str>) -> Attempt {
    let request = Introspection { body: body.as_bytes(), accept, forwarded_for: &ForwardedFor::default() };
    let credentials = Credentials { authorization: authorization.to_vec(), proofs: Vec::new() };
    done(introspect(fake, &credentials, request))
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
    let admin = format!("Bearer {}", token("caller", ADMIN, API));
    let refused = send(&fake, &[admin], "token=t", None).outcome.unwrap_err();
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
    let large = "a".repeat(vouchsafe_exchange::limits::BODY_BYTES_MAX + 1);
    let refused = ask(&fake, API, &large).outcome.unwrap_err();
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

fn basic(id: &str, secret: &str) -> Vec<String> {
    vec![format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))]
}

#[test]
fn policy_decides_about_clients_by_audience() {
    let fake = Fake::default();
    let attempt = send(&fake, &basic("api", "api"), &body(&token("t", API, "read")), None);
    assert!(attempt.outcome.unwrap().contains("\"active\":true"));
    let client = AuthenticatedClient {
        issuer: "clients".into(),
        determining_rules: vec!["clients".into()],
        erring_rules: vec![],
    };
    assert_eq!((attempt.client, attempt.decision_id), (Some(client), None));
    assert_eq!(fake.calls(), ["authenticate", "decide https://api.example", "verify t", "active t"]);
    // zitadel#9200: an `aud` that was widened until introspection passed.
    for (text, calls) in [
        (token("t", "https://other.example", "read"), vec!["authenticate", "decide https://other.example"]),
        (token("t", INTROSPECT, API), vec!["authenticate", "decide https://broker.example/introspect"]),
        ("garbage".to_owned(), vec!["authenticate"]),
    ] {
        let attempt = send(&fake, &basic("api", "api"), &body(&text), None);
        assert_eq!(attempt.outcome.unwrap(), INACTIVE, "{text}");
        assert_eq!(fake.calls(), calls, "{text}");
    }
}

#[test]
fn failed_clients_get_401_with_a_challenge() {
    let fake = Fake::default();
    let about = body(&token("t", API, "read"));
    for (authorization, body) in [
        (basic("api", "wrong"), about.clone()),
        (vec!["Basic".to_owned()], about.clone()),
        (vec!["basic !".to_owned()], about.clone()),
        (vec![], format!("{about}&client_id=api&client_secret=wrong")),
        (vec![], format!("{about}&client_secret=api")),
        (vec![], format!("{about}&client_assertion=x")),
        (vec![], format!("{about}&client_assertion=x&client_assertion_type=unknown")),
    ] {
        let refused = send(&fake, &authorization, &body, None).outcome.unwrap_err();
        let answer = (refused.error.status, refused.error.error, refused.slug, refused.challenge.as_deref());
        let expected = (401, "invalid_client", "client.invalid", Some("Basic realm=\"vouchsafe\""));
        assert_eq!(answer, expected, "{authorization:?} {body}");
    }
}

/// RFC 6749 §2.3.
#[test]
fn refuses_several_credentials() {
    let fake = Fake::default();
    let bearer = || format!("Bearer {}", token("caller", INTROSPECT, API));
    let basic = || basic("api", "api").remove(0);
    for (authorization, more) in [
        (vec![basic(), basic()], ""),
        (vec![basic(), bearer()], ""),
        (vec![basic()], "&client_id=api&client_secret=api"),
        (vec![basic()], "&client_assertion=x"),
        (vec![bearer()], "&client_id=api&client_secret=api"),
        (vec![], "&client_secret=api&client_assertion_type=x"),
    ] {
        let body = format!("{}{more}", body(&token("t", API, "read")));
        let refused = send(&fake, &authorization, &body, None).outcome.unwrap_err();
        let answer = (refused.error.status, refused.error.error, refused.slug);
        assert_eq!(answer, (400, "invalid_request", "client.several_credentials"), "{authorization:?} {more}");
        assert_eq!(fake.calls(), [""; 0]);
    }
}

/// RFC 9701 §4.
#[test]
fn signs_the_response_for_its_caller() {
    let fake = Fake::default();
    let good = body(&token("t", API, "read"));
    let plain = ask(&fake, API, &good).outcome.unwrap();
    for accept in [
        JWT_MEDIA_TYPE,
        "Application/Token-Introspection+JWT; q=0.9",
        "application/json, application/token-introspection+jwt",
    ] {
        let bearer = format!("Bearer {}", token("caller", INTROSPECT, API));
        let attempt = send(&fake, &[bearer], &good, Some(accept));
        assert_eq!(attempt.media_type, JWT_MEDIA_TYPE);
        assert_eq!(attempt.outcome.unwrap(), format!("{plain} for github:caller"));
    }
    let of_client = send(&fake, &basic("api", "api"), &body("garbage"), Some(JWT_MEDIA_TYPE));
    assert_eq!(of_client.outcome.unwrap(), format!("{INACTIVE} for api"));
    for accept in [None, Some("application/json"), Some("*/*"), Some("application/jwt")] {
        let attempt = send(&fake, &basic("api", "api"), &good, accept);
        assert_eq!((attempt.media_type, attempt.outcome.unwrap()), ("application/json", plain.clone()));
    }
}

/// RFC 9701 §5.
#[test]
fn requests_without_credentials_have_status_400_for_a_signed_response() {
    let fake = Fake::default();
    for (accept, status) in [(None, 401), (Some(JWT_MEDIA_TYPE), 400)] {
        let refused = send(&fake, &[], "token=t", accept).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.slug), (status, "caller.unauthenticated"));
    }
}
