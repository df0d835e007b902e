//! Who is accepted as a caller.

use crate::fake::*;
use vouchsafe_exchange::limits::{PROOF_BYTES_MAX, SUBJECT_TOKEN_BYTES_MAX};
use vouchsafe_revocation::operations::{Operation, perform};
use vouchsafe_revocation::{Attempt, Credentials};
use vouchsafe_types::TokenError;

const INVALID: &str = "Bearer error=\"invalid_token\", \
    error_description=\"the access token is invalid, expired, revoked, or for another audience\"";

const ALL: &str = "Bearer, DPoP algs=\"ES256 EdDSA ES384 RS256\"";
/// The request of [`list`].
const LIST: &str = "GET https://broker.example/admin/revocations";

fn list(fake: &Fake, credentials: &Credentials) -> Attempt {
    done(perform(fake, credentials, Operation::List))
}

fn headers(authorization: &[&str]) -> Credentials {
    Credentials { authorization: authorization.iter().map(|it| (*it).to_owned()).collect(), proofs: Vec::new() }
}

fn check(fake: &Fake, credentials: &Credentials, status: u16, challenge: &str, slug: &str, detail: &str) {
    let attempt = list(fake, credentials);
    let refused = attempt.outcome.unwrap_err();
    let answer = (refused.error.status, refused.challenge.as_deref(), refused.slug, &*refused.detail);
    assert_eq!(answer, (status, Some(challenge), slug, detail), "{credentials:?}");
    assert_eq!(attempt.decision_id, None);
    assert!(!fake.calls().contains(&"list".to_owned()), "{credentials:?}");
}

#[test]
fn accepts_token_of_exact_audience_and_scope() {
    let fake = Fake::default();
    for header in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let header = format!("{header} {}", token("caller", ADMIN, "revoke revoke:read"));
        let attempt = list(&fake, &headers(&[&header]));
        assert_eq!(attempt.outcome.unwrap(), r#"{"revocations":[]}"#);
        assert_eq!(attempt.decision_id.as_deref(), Some("caller"));
        assert_eq!(fake.calls(), ["verify caller", "active caller", "list"]);
    }
}

#[test]
fn names_the_scheme_to_callers_without_credentials() {
    let fake = Fake::default();
    check(&fake, &headers(&[]), 401, ALL, "caller.unauthenticated", "");
    let text = token("caller", ADMIN, "revoke:read");
    let valid = format!("Bearer {text}");
    for authorization in [&["Basic YTpi"][..], &["Bearer"], &["DPoP"], &[&text], &[&valid, &valid]] {
        check(&fake, &headers(authorization), 401, ALL, "caller.unsupported", "");
    }
    // A proof is never ignored.
    let proven = Credentials { proofs: bound(&text, "1", LIST).proofs, ..bearer(&text) };
    check(&fake, &proven, 401, ALL, "caller.unsupported", "");
}

/// The exact audience: no prefix of it, no path below, and not the broker itself.
#[test]
fn refuses_tokens_for_other_audiences() {
    let fake = Fake::default();
    for audience in
        [INTROSPECT, ISSUER, "https://broker.example/admin/", "https://broker.example/adminx", "https://api.example"]
    {
        let credentials = bearer(&token("caller", audience, "revoke:read"));
        check(&fake, &credentials, 401, INVALID, "caller.invalid", "token.audience_mismatch");
    }
}

#[test]
fn refuses_tokens_that_do_not_verify() {
    for error in [TokenError::Expired, TokenError::SignatureInvalid, TokenError::KeyUnknown] {
        let fake = Fake::default();
        let slug = error.slug();
        fake.verify_error.replace(Some(error));
        check(&fake, &bearer(&token("other", ADMIN, "revoke:read")), 401, INVALID, "caller.invalid", slug);
    }
    let fake = Fake::default();
    check(&fake, &bearer("x"), 401, INVALID, "caller.invalid", "token.malformed");
    fake.plain_jwt.set(true);
    let plain = bearer(&token("caller", ADMIN, "revoke:read"));
    check(&fake, &plain, 401, INVALID, "caller.invalid", "token.type_not_allowed");
}

/// RFC 9449 §7.2. giantswarm/mcp-oauth#383 took a bound token as a bearer token.
#[test]
fn refuses_bound_tokens_without_proof() {
    let fake = Fake::default();
    let text = token("bound", ADMIN, "revoke:read");
    check(&fake, &bearer(&text), 401, INVALID, "caller.invalid", "the token is bound to a key");
    let challenge = proof_challenge("the access token is bound to a key: send a DPoP proof by that key");
    let without = headers(&[&format!("DPoP {text}")]);
    check(&fake, &without, 401, &challenge, "proof.required_by_token", "");
    let unbound = token("caller", ADMIN, "revoke:read");
    let invalid = format!("{}, {ALGS}", INVALID.replace("Bearer", "DPoP"));
    check(&fake, &bound(&unbound, "1", LIST), 401, &invalid, "caller.invalid", "the token is bound to no key");
    assert!(fake.used.borrow().is_empty());
}

const ALGS: &str = "algs=\"ES256 EdDSA ES384 RS256\"";

fn proof_challenge(text: &str) -> String {
    format!("DPoP error=\"invalid_dpop_proof\", error_description=\"{text}\", {ALGS}")
}

/// RFC 9449 §7.1: the proof is for this request and this token, by the key that the token names, and counts once.
#[test]
fn accepts_a_bound_token_with_its_proof_once() {
    let fake = Fake::default();
    let text = token("bound", ADMIN, "revoke:read");
    for scheme in ["DPoP", "dpop", "DPOP"] {
        let credentials = bound(&text, scheme, LIST);
        let credentials = Credentials { authorization: vec![format!("{scheme} {text}")], ..credentials };
        assert_eq!(list(&fake, &credentials).outcome.unwrap(), r#"{"revocations":[]}"#);
        assert_eq!(fake.calls(), ["verify bound", &format!("prove {LIST}"), "active bound", "consume", "list"]);
        let challenge = proof_challenge("the DPoP proof was already used: make one for each request");
        check(&fake, &credentials, 401, &challenge, "proof.spent", "");
        fake.calls();
    }
}

#[test]
fn judges_the_proof_of_a_bound_token() {
    let fake = Fake::default();
    let text = token("bound", ADMIN, "revoke:read");
    let valid = bound(&text, "1", LIST);
    let (proof, twice) = (valid.proofs[0].clone(), [valid.proofs.clone(), valid.proofs.clone()].concat());
    for (proofs, slug) in [
        (twice, "proof.repeated"),
        (vec![String::new()], "proof.signature_invalid"),
        (vec!["x".repeat(PROOF_BYTES_MAX + 1)], "proof.too_large"),
        (vec![proof.replace(THUMBPRINT, "other")], "proof.key_mismatch"),
        (vec![proof.replace("GET", "POST")], "proof.method_mismatch"),
        (vec![proof.replace("/admin/revocations", "/admin/revocations/lift")], "proof.url_mismatch"),
        (vec![proof.replace("bound|", "bound-2|")], "proof.token_mismatch"),
    ] {
        let attempt = list(&fake, &Credentials { proofs, ..valid.clone() });
        let refused = attempt.outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.error.error, refused.slug), (401, "invalid_dpop_proof", slug));
        assert!(refused.challenge.unwrap().starts_with("DPoP error=\"invalid_dpop_proof\""), "{slug}");
    }
    assert!(fake.used.borrow().is_empty(), "nothing is consumed for a proof that fails");
}

/// RFC 9449 §9.
#[test]
fn requires_a_nonce_if_the_bundle_does() {
    let fake = Fake::default();
    let credentials = bound(&token("bound", ADMIN, "revoke:read"), "1", LIST);
    fake.nonces.replace(Some(vec!["n2".to_owned(), "n1".to_owned()]));
    for nonce in [None, Some("n3".to_owned()), Some(String::new())] {
        fake.nonce.replace(nonce);
        let refused = list(&fake, &credentials).outcome.unwrap_err();
        let answer = (refused.error.status, refused.error.error, refused.slug);
        assert_eq!(answer, (401, "use_dpop_nonce", "proof.nonce_required"));
        assert!(refused.challenge.unwrap().starts_with("DPoP error=\"use_dpop_nonce\""));
    }
    assert!(fake.used.borrow().is_empty());
    fake.nonce.replace(Some("n1".to_owned()));
    assert!(list(&fake, &credentials).outcome.is_ok());
}

/// Each operation has a URL of its own, below the configured issuer.
#[test]
fn proof_is_for_the_operation() {
    let lift = br#"{"id":"a","reason":"b"}"#.as_slice();
    let revoke = br#"{"all":true,"dry_run":true}"#.as_slice();
    for (operation, target) in [
        (Operation::List, LIST),
        (Operation::Revoke(revoke), "POST https://broker.example/admin/revocations"),
        (Operation::Lift(lift), "POST https://broker.example/admin/revocations/lift"),
    ] {
        let fake = Fake::default();
        let credentials = bound(&token("bound", ADMIN, "revoke revoke:lift revoke:read"), "1", target);
        let attempt = done(perform(&fake, &credentials, operation));
        assert_eq!(attempt.decision_id.as_deref(), Some("bound"), "{target}");
    }
}

/// Whoever has a revoked token, or one without the scope, causes no write, however many proofs it makes.
#[test]
fn consumes_the_proof_after_every_other_check() {
    let fake = Fake::default();
    let without = list(&fake, &bound(&token("bound", ADMIN, "revoke"), "1", LIST)).outcome.unwrap_err();
    let challenge = format!("DPoP error=\"insufficient_scope\", scope=\"revoke:read\", {ALGS}");
    assert_eq!((without.slug, without.challenge), ("caller.scope_missing", Some(challenge.into())));
    fake.revoked.borrow_mut().push("bound");
    let revoked = list(&fake, &bound(&token("bound", ADMIN, "revoke:read"), "1", LIST)).outcome.unwrap_err();
    assert_eq!((revoked.slug, &*revoked.detail), ("caller.invalid", "the token is revoked"));
    assert!(!fake.calls().contains(&"consume".to_owned()));
}

#[test]
fn fails_closed_if_proofs_cannot_be_consumed() {
    let fake = Fake::default();
    let credentials = bound(&token("bound", ADMIN, "revoke:read"), "1", LIST);
    fake.predates_store.set(true);
    assert_eq!(list(&fake, &credentials).outcome.unwrap_err().slug, "proof.predates_store");
    fake.unavailable.borrow_mut().push("consume");
    let refused = list(&fake, &credentials).outcome.unwrap_err();
    assert_eq!((refused.error.status, refused.slug), (503, "store.unavailable"));
}

#[test]
fn refuses_revoked_callers() {
    let fake = Fake::default();
    fake.revoked.borrow_mut().push("caller");
    let credentials = bearer(&token("caller", ADMIN, "revoke:read"));
    check(&fake, &credentials, 401, INVALID, "caller.invalid", "the token is revoked");
}

#[test]
fn each_operation_has_its_own_scope() {
    let fake = Fake::default();
    let lift = br#"{"id":"a","reason":"b"}"#.as_slice();
    let revoke = br#"{"all":true,"dry_run":true}"#.as_slice();
    let operations = [
        ("revoke", Operation::Revoke(revoke)),
        ("revoke:lift", Operation::Lift(lift)),
        ("revoke:read", Operation::List),
    ];
    for (scope, operation) in operations {
        for (other, _) in operations {
            let credentials = bearer(&token("caller", ADMIN, other));
            let attempt = done(perform(&fake, &credentials, operation));
            match attempt.outcome {
                Err(refused) if other != scope => {
                    let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
                    assert_eq!(refused.challenge, Some(challenge.into()));
                    assert_eq!((refused.error.status, refused.slug), (403, "caller.scope_missing"));
                }
                Err(refused) => assert_eq!(refused.slug, "operation.no_such_block", "{scope}"),
                Ok(_) => assert_eq!(other, scope),
            }
        }
    }
}

#[test]
fn bounds_the_callers_token() {
    let fake = Fake::default();
    let padded = |bytes: usize| {
        let scopes = "x".repeat(bytes - token("caller", ADMIN, "revoke:read ").len());
        bearer(&token("caller", ADMIN, &format!("revoke:read {scopes}")))
    };
    assert!(list(&fake, &padded(SUBJECT_TOKEN_BYTES_MAX)).outcome.is_ok());
    fake.calls();
    let over = padded(SUBJECT_TOKEN_BYTES_MAX + 1);
    check(&fake, &over, 401, INVALID, "caller.invalid", "token.too_large");
}

#[test]
fn fails_closed_without_keys_or_store() {
    for (call, slug) in [("verify", "signer.unavailable"), ("active", "store.unavailable")] {
        let fake = Fake::default();
        fake.unavailable.borrow_mut().push(call);
        let refused = list(&fake, &bearer(&token("caller", ADMIN, "revoke:read"))).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.slug, refused.challenge), (503, slug, None));
        assert_eq!(refused.error.retry_after_seconds, Some(2));
    }
}
