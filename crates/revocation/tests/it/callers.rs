//! Who is accepted as a caller.

use crate::fake::*;
use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_revocation::operations::{Operation, perform};
use vouchsafe_revocation::{Attempt, Credentials};
use vouchsafe_types::TokenError;

const INVALID: &str = "Bearer error=\"invalid_token\", \
    error_description=\"the access token is invalid, expired, revoked, or for another audience\"";

fn list(fake: &Fake, headers: &[String]) -> Attempt {
    done(perform(fake, &Credentials(headers.to_vec()), Operation::List))
}

fn bearer(token: &str) -> Vec<String> {
    vec![format!("Bearer {token}")]
}

fn check(fake: &Fake, headers: &[String], status: u16, challenge: &str, slug: &str, detail: &str) {
    let attempt = list(fake, headers);
    let refused = attempt.outcome.unwrap_err();
    let answer = (refused.error.status, refused.challenge.as_deref(), refused.slug, &*refused.detail);
    assert_eq!(answer, (status, Some(challenge), slug, detail), "{headers:?}");
    assert_eq!(attempt.decision_id, None);
    assert!(!fake.calls().contains(&"list".to_owned()), "{headers:?}");
}

#[test]
fn accepts_token_of_exact_audience_and_scope() {
    let fake = Fake::default();
    for header in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let header = format!("{header} {}", token("caller", ADMIN, "revoke revoke:read"));
        let attempt = list(&fake, &[header]);
        assert_eq!(attempt.outcome.unwrap(), r#"{"revocations":[]}"#);
        assert_eq!(attempt.decision_id.as_deref(), Some("caller"));
        assert_eq!(fake.calls(), ["verify caller", "active caller", "list"]);
    }
}

#[test]
fn names_the_scheme_to_callers_without_credentials() {
    let fake = Fake::default();
    check(&fake, &[], 401, "Bearer", "caller.unauthenticated", "");
    let valid = format!("Bearer {}", token("caller", ADMIN, "revoke:read"));
    for headers in [
        vec!["Basic YTpi".to_owned()],
        vec!["DPoP x".to_owned()],
        vec!["Bearer".to_owned()],
        vec![token("caller", ADMIN, "revoke:read")],
        vec![valid.clone(), valid],
    ] {
        check(&fake, &headers, 401, "Bearer", "caller.unsupported", "");
    }
}

/// The exact audience: no prefix of it, no path below, and not the broker itself.
#[test]
fn refuses_tokens_for_other_audiences() {
    let fake = Fake::default();
    for audience in
        [INTROSPECT, ISSUER, "https://broker.example/admin/", "https://broker.example/adminx", "https://api.example"]
    {
        let headers = bearer(&token("caller", audience, "revoke:read"));
        check(&fake, &headers, 401, INVALID, "caller.invalid", "token.audience_mismatch");
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
fn refuses_bound_tokens_with_or_without_proof() {
    let fake = Fake::default();
    let bound = token("bound", ADMIN, "revoke:read");
    check(&fake, &bearer(&bound), 401, INVALID, "caller.invalid", "the token is bound to a key");
    check(&fake, &[format!("DPoP {bound}")], 401, "Bearer", "caller.unsupported", "");
}

#[test]
fn refuses_revoked_callers() {
    let fake = Fake::default();
    fake.revoked.borrow_mut().push("caller");
    let headers = bearer(&token("caller", ADMIN, "revoke:read"));
    check(&fake, &headers, 401, INVALID, "caller.invalid", "the token is revoked");
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
            let credentials = Credentials(bearer(&token("caller", ADMIN, other)));
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
