//! Tokens that reverse proxies ask about.

use crate::fake::*;
use vouchsafe_revocation::limits::FIELD_BYTES_MAX;
use vouchsafe_revocation::{Attempt, Credentials, ForwardedRequest, forward_auth};
use vouchsafe_types::TokenError;

const API: &str = "https://api.example";
const PATH: &str = "/forward-auth/https%3A%2F%2Fapi.example";
const INVALID: &str = "Bearer error=\"invalid_token\", \
    error_description=\"the access token is invalid, expired, revoked, or for another audience\"";

fn ask(fake: &Fake, path: &str, token: &str) -> Attempt {
    done(forward_auth(fake, &bearer(token), &ForwardedRequest::default(), path))
}

/// Status and slug.
fn refused(fake: &Fake, path: &str, token: &str) -> (u16, &'static str) {
    let refused = ask(fake, path, token).outcome.unwrap_err();
    (refused.error.status, refused.slug)
}

#[test]
fn accepts_tokens_of_the_audience() {
    let fake = Fake::default();
    let token = token("t", API, "read write");
    for path in [
        PATH,
        "/forward-auth/https%3a%2f%2fapi.example",
        "/forward-auth/https:%2F%2Fapi.example",
        &format!("{PATH}%20read"),
        &format!("{PATH}%20write%20read"),
        // Envoy appends the client's path.
        &format!("{PATH}/https%3A%2F%2Fother.example/../%zz"),
        &format!("{PATH}/"),
    ] {
        let attempt = ask(&fake, path, &token);
        assert_eq!((attempt.outcome, attempt.decision_id), (Ok("{}".to_owned()), None), "{path}");
        assert_eq!(fake.calls(), ["verify t", "active t"], "{path}");
    }
}

#[test]
fn refuses_every_bad_token_alike() {
    let check = |fake: &Fake, token: &str| {
        let refused = ask(fake, PATH, token).outcome.unwrap_err();
        let answer = (refused.error.status, refused.challenge.as_deref(), refused.slug);
        assert_eq!(answer, (401, Some(INVALID), "caller.invalid"), "{token}");
    };
    let fake = Fake::default();
    for audience in ["https://other.example", "https://api.example/", "https://api.exampl", ADMIN] {
        check(&fake, &token("t", audience, "read"));
    }
    check(&fake, "garbage");
    check(&fake, &token("bound", API, "read"));
    fake.revoked.borrow_mut().push("t");
    check(&fake, &token("t", API, "read"));
    let fake = Fake::default();
    fake.plain_jwt.set(true);
    check(&fake, &token("t", API, "read"));
    for error in [TokenError::Expired, TokenError::SignatureInvalid, TokenError::IssuerUntrusted] {
        fake.verify_error.replace(Some(error));
        check(&fake, &token("t", API, "read"));
    }
}

#[test]
fn requires_every_scope() {
    let fake = Fake::default();
    for scopes in ["", "write", "read-all", "READ"] {
        let path = format!("{PATH}%20read");
        let refused = ask(&fake, &path, &token("t", API, scopes)).outcome.unwrap_err();
        assert_eq!(refused.challenge.as_deref(), Some("Bearer error=\"insufficient_scope\", scope=\"read\""));
        assert_eq!((refused.error.status, refused.slug), (403, "caller.scope_missing"), "{scopes}");
    }
    let path = format!("{PATH}%20read%20write");
    assert_eq!(refused(&fake, &path, &token("t", API, "read")), (403, "caller.scope_missing"));
}

#[test]
fn requires_one_bearer_token() {
    let fake = Fake::default();
    let valid = format!("Bearer {}", token("t", API, "read"));
    for (headers, slug) in [
        (vec![], "caller.unauthenticated"),
        (vec![valid.clone(), valid.clone()], "caller.unsupported"),
        (vec!["Basic YTpi".to_owned()], "caller.unsupported"),
    ] {
        let credentials = Credentials { authorization: headers, proofs: Vec::new() };
        let refused = done(forward_auth(&fake, &credentials, &ForwardedRequest::default(), PATH)).outcome.unwrap_err();
        let challenge = "Bearer, DPoP algs=\"ES256 EdDSA ES384 RS256\"";
        assert_eq!((refused.error.status, refused.slug, refused.challenge.as_deref()), (401, slug, Some(challenge)));
        assert_eq!(fake.calls(), Vec::<String>::new());
    }
}

/// The client's request as a trusted proxy states it.
fn forwarded() -> ForwardedRequest {
    let one = |text: &str| vec![text.to_owned()];
    ForwardedRequest {
        peer: "10.0.0.1:5000".to_owned(),
        method: one("PUT"),
        scheme: one("https"),
        host: one("api.example"),
        uri: one("/things?a=b"),
    }
}

/// kc#38333, zeroid#193: the proof is for the client's request, and not for that of the proxy.
#[test]
fn proof_is_for_the_clients_request() {
    let fake = Fake::default();
    let text = token("bound", API, "read");
    let target = "PUT https://api.example/things";
    let attempt = |jti: &str, target: &str, forwarded: &ForwardedRequest| {
        done(forward_auth(&fake, &bound(&text, jti, target), forwarded, PATH)).outcome.map_err(|refused| refused.slug)
    };
    assert_eq!(attempt("1", target, &forwarded()), Ok("{}".to_owned()));
    assert_eq!(fake.calls(), ["verify bound", &format!("prove {target}"), "active bound", "consume"]);
    assert_eq!(attempt("1", target, &forwarded()), Err("proof.spent"));
    assert_eq!(attempt("2", "GET https://api.example/things", &forwarded()), Err("proof.method_mismatch"));
    assert_eq!(attempt("2", "PUT https://broker.example/forward-auth", &forwarded()), Err("proof.url_mismatch"));
    assert_eq!(attempt("2", target, &forwarded()), Ok("{}".to_owned()));
}

/// Without a proxy that the operator trusts, the headers are the client's own.
#[test]
fn bound_token_needs_a_trusted_proxys_word() {
    let fake = Fake::default();
    let credentials = bound(&token("bound", API, "read"), "1", "PUT https://api.example/things");
    for forwarded in [
        ForwardedRequest::default(),
        ForwardedRequest { peer: "192.0.2.1:5000".to_owned(), ..forwarded() },
        ForwardedRequest { uri: Vec::new(), ..forwarded() },
        ForwardedRequest { method: vec!["PUT".to_owned(), "PUT".to_owned()], ..forwarded() },
    ] {
        let refused = done(forward_auth(&fake, &credentials, &forwarded, PATH)).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.slug), (401, "proof.request_unknown"), "{forwarded:?}");
    }
    assert!(fake.used.borrow().is_empty());
}

/// A mistake of the operator: no token is accepted.
#[test]
fn path_must_name_an_audience() {
    let fake = Fake::default();
    let token = token("t", "", "");
    for path in [
        "/forward-auth/",
        "/forward-auth//",
        "/forward-auth/%20read",
        "/forward-auth/a%20",
        "/forward-auth/a%20%20b",
        "/forward-auth/a%",
        "/forward-auth/a%2",
        "/forward-auth/a%zz",
        "/forward-auth/a%0a",
        "/forward-auth/a%22",
        "/forward-auth/a%5C",
        "/forward-auth/%C3%A4",
    ] {
        assert_eq!(refused(&fake, path, &token), (400, "operation.invalid"), "{path}");
        assert_eq!(fake.calls(), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn bounds_the_audience() {
    let fake = Fake::default();
    for (bytes, expected) in [(FIELD_BYTES_MAX, Ok("{}".to_owned())), (FIELD_BYTES_MAX + 1, Err("operation.invalid"))] {
        let audience = "a".repeat(bytes);
        let outcome = ask(&fake, &format!("/forward-auth/{audience}"), &token("t", &audience, "")).outcome;
        assert_eq!(outcome.map_err(|refused| refused.slug), expected, "{bytes}");
    }
}

#[test]
fn fails_closed_without_keys_or_store() {
    for (call, slug) in [("verify", "signer.unavailable"), ("active", "store.unavailable")] {
        let fake = Fake::default();
        fake.unavailable.borrow_mut().push(call);
        assert_eq!(refused(&fake, PATH, &token("t", API, "read")), (503, slug));
    }
}

/// Caddy decodes slashes in a path.
#[test]
fn takes_audience_and_scope_from_a_query() {
    let fake = Fake::default();
    let live = token("t", API, "read write");
    let api = "/forward-auth?audience=https%3A%2F%2Fapi.example";
    for target in [api, &format!("{api}&scope=read"), &format!("{api}&scope=read+write"), &format!("{api}&a=1")] {
        assert_eq!(ask(&fake, target, &live).outcome, Ok("{}".to_owned()), "{target}");
    }
    let missing = format!("{api}&scope=admin");
    assert_eq!(refused(&fake, &missing, &live), (403, "caller.scope_missing"));
    let other = token("t", "https://other.example", "read");
    assert_eq!(refused(&fake, api, &other), (401, "caller.invalid"));
    fake.calls();
    for target in [
        "/forward-auth",
        "/forward-auth?",
        "/forward-auth?scope=read",
        "/forward-auth?audience=",
        "/forward-auth?audience=a+read",
        "/forward-auth?audience=a&scope=read++write",
        "/forward-auth?audience=a&scope=%22",
        "/forward-auth?audience=%C3%A4",
        "/forward-auth?audience=%zz",
        &format!("{api}&audience=https%3A%2F%2Fother.example"),
        &format!("{api}&scope=read&scope=write"),
    ] {
        assert_eq!(refused(&fake, target, &live), (400, "operation.invalid"), "{target}");
        assert_eq!(fake.calls(), Vec::<String>::new(), "{target}");
    }
}

/// Some proxies pass the client's query on.
#[test]
fn query_of_the_client_changes_no_path() {
    let fake = Fake::default();
    let live = token("t", API, "read");
    let target = format!("{PATH}?audience=https%3A%2F%2Fother.example&scope=admin");
    assert_eq!(ask(&fake, &target, &live).outcome, Ok("{}".to_owned()));
    let other = token("t", "https://other.example", "admin");
    assert_eq!(refused(&fake, &target, &other), (401, "caller.invalid"));
}
