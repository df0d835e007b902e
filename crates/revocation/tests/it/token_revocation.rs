//! Revocation by a token's holder.

use crate::fake::*;
use vouchsafe_exchange::limits::SUBJECT_TOKEN_BYTES_MAX;
use vouchsafe_revocation::{Attempt, Credentials, revoke_token};
use vouchsafe_types::{Added, Attribution, Revocation, RevocationTarget, TokenError};

fn revoke(fake: &Fake, token: &str) -> Attempt {
    let body = format!("token={}", token.replace('|', "%7C"));
    done(revoke_token(fake, &Credentials::default(), body.as_bytes()))
}

#[test]
fn revokes_the_token_by_its_id() {
    let fake = Fake::default();
    let attempt = revoke(&fake, &token("t", "https://api.example", ""));
    assert_eq!(attempt.outcome.unwrap(), "{}");
    assert_eq!(attempt.decision_id.as_deref(), Some("t"));
    let by = Attribution { actor: "github:t".into(), decision_id: "t".into(), reason: String::new() };
    let target = RevocationTarget::Token("t".into());
    let expected = Revocation { id: "token/t".into(), target, at: NOW, by, lifted: None };
    assert_eq!(fake.revocations.take(), [expected]);
}

/// doorkeeper#1362 answered 403 for unknown tokens. Here nothing is written for them either.
#[test]
fn answers_unknown_tokens_alike_without_writing() {
    let fake = Fake::default();
    let long = "x".repeat(SUBJECT_TOKEN_BYTES_MAX + 1);
    for text in ["garbage", long.as_str()] {
        assert_eq!(revoke(&fake, text).outcome.unwrap(), "{}");
        assert_eq!(fake.calls(), [""; 0]);
    }
    for error in [TokenError::Expired, TokenError::SignatureInvalid, TokenError::IssuerUntrusted] {
        fake.verify_error.replace(Some(error));
        assert_eq!(revoke(&fake, &token("t", "https://api.example", "")).outcome.unwrap(), "{}");
        assert_eq!(fake.calls(), ["verify t"]);
    }
    let fake = Fake::default();
    fake.added.replace(Some(Added::NoSuchToken));
    assert_eq!(revoke(&fake, &token("t", "https://api.example", "")).outcome.unwrap(), "{}");
}

#[test]
fn never_reports_a_revocation_that_failed() {
    for added in [Added::Conflict, Added::TooMany] {
        let fake = Fake::default();
        fake.added.replace(Some(added));
        let refused = revoke(&fake, &token("t", "https://api.example", "")).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.slug), (500, "internal"));
    }
    for (call, slug) in [("verify", "signer.unavailable"), ("add", "store.unavailable")] {
        let fake = Fake::default();
        fake.unavailable.borrow_mut().push(call);
        let refused = revoke(&fake, &token("t", "https://api.example", "")).outcome.unwrap_err();
        assert_eq!((refused.error.status, refused.slug), (503, slug));
    }
}

/// A credential is never ignored, although possession of the token is enough.
#[test]
fn checks_credentials_of_clients() {
    let fake = Fake::default();
    let form = |secret: &str| {
        let token = token("t", "https://api.example", "").replace('|', "%7C");
        format!("token={token}&client_id=api&client_secret={secret}")
    };
    assert!(done(revoke_token(&fake, &Credentials::default(), form("api").as_bytes())).outcome.is_ok());
    assert_eq!(fake.calls(), ["check_client", "authenticate", "verify t", "add token/t"]);
    let refused = done(revoke_token(&fake, &Credentials::default(), form("x").as_bytes())).outcome.unwrap_err();
    assert_eq!((refused.error.status, refused.error.error, refused.slug), (401, "invalid_client", "client.invalid"));
    assert_eq!(fake.calls(), ["check_client", "authenticate"]);
}
