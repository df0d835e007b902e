//! What callers see of each refusal, one row per variant.

use crate::fake::*;
use crate::{FORM, attempt};
use std::collections::HashSet;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::exchange;
use vouchsafe_exchange::refusal::*;
use vouchsafe_exchange::request::Grant;
use vouchsafe_exchange::wire::{WireError, success};
use vouchsafe_types::{ProofError, TokenError};

/// Every refusal with its slug, status and error code.
fn every_refusal() -> Vec<(Refusal, &'static str, u16, &'static str)> {
    use RequestFault as R;
    use TokenError as T;
    let request = |fault: R, slug, status, error| (Refusal::Request(fault), slug, status, error);
    let token = |fault: T, slug| (Refusal::Token(fault), slug, 400, "invalid_request");
    let denied = |denial, slug, error| (Refusal::Denied(denial), slug, 400, error);
    let proof = |fault: ProofFault, slug| (Refusal::Proof(fault), slug, 400, "invalid_dpop_proof");
    let invalid = |error: ProofError| (Refusal::Proof(error.into()), error.slug(), 400, "invalid_dpop_proof");
    let down = |part, slug| (Refusal::Unavailable(part), slug, 503, "temporarily_unavailable");
    let bad = "invalid_request";
    let mut all: Vec<_> = ProofError::ALL.iter().map(|error| invalid(*error)).collect();
    all.extend([
        proof(ProofFault::KeyMismatch, "proof.key_mismatch"),
        proof(ProofFault::PredatesStore, "proof.predates_store"),
        proof(ProofFault::Repeated, "proof.repeated"),
        proof(ProofFault::RequiredByAudience, "proof.required_by_audience"),
        proof(ProofFault::RequiredByToken, "proof.required_by_token"),
        proof(ProofFault::Spent, "proof.spent"),
        request(R::ActorTokenBearer, "request.actor_token_bearer", 400, bad),
        request(R::ActorTokenTypeUnsupported, "request.actor_token_type_unsupported", 400, bad),
        request(R::ActorTokenUnsupported, "request.actor_token_unsupported", 400, bad),
        request(R::ActorTokenWhiteSpace, "request.actor_token_white_space", 400, bad),
        (Refusal::ActorToken(T::Expired), "actor.token_rejected", 400, bad),
        (Refusal::Actor(ActorFault::Delegated), "actor.delegated", 400, bad),
        (Refusal::Actor(ActorFault::IsSubject), "actor.is_subject", 400, bad),
        (Refusal::Actor(ActorFault::NotNamed), "actor.not_named", 400, bad),
        (Refusal::Actor(ActorFault::Required), "actor.required", 400, bad),
        (Refusal::Actor(ActorFault::TooMany), "actor.too_many", 400, bad),
        denied(Denial::ActorsNotAllowed, "actor.not_allowed_by_audience", "invalid_target"),
        denied(Denial::ScopeNotHeld, "scope.not_held", "invalid_scope"),
        request(R::AudienceAndResource, "request.audience_and_resource", 400, bad),
        request(
            R::AuthorizationDetailsUnsupported,
            "request.authorization_details_unsupported",
            400,
            "invalid_authorization_details",
        ),
        request(R::BodyTooLarge, "request.too_large", 413, bad),
        request(R::ContentTypeUnsupported, "request.content_type_unsupported", 415, bad),
        request(R::GrantUnsupported, "grant.unsupported", 400, "unsupported_grant_type"),
        request(R::LifetimeInvalid, "request.lifetime_invalid", 400, bad),
        request(R::LifetimeOverCeiling, "request.lifetime_over_ceiling", 400, bad),
        request(R::ClientAddressUndetermined, "request.client_address_undetermined", 400, bad),
        request(R::Malformed, "request.malformed", 400, bad),
        request(R::MethodNotAllowed, "request.method_not_allowed", 405, bad),
        request(R::ParameterMissing("audience"), "request.parameter_missing", 400, bad),
        request(R::ParameterRepeated, "request.parameter_repeated", 400, bad),
        request(R::QueryNotAllowed, "request.query_not_allowed", 400, bad),
        request(R::RequestedTokenTypeNotGrant, "request.requested_token_type_not_grant", 400, bad),
        request(R::RequestedTokenTypeUnsupported, "request.requested_token_type_unsupported", 400, bad),
        request(R::ScopeMalformed, "scope.malformed", 400, "invalid_scope"),
        request(R::ScopesTooMany, "scope.too_many", 400, "invalid_scope"),
        request(R::SubjectTokenBearer, "request.subject_token_bearer", 400, bad),
        request(R::SubjectTokenTypeUnsupported, "request.subject_token_type_unsupported", 400, bad),
        request(R::SubjectTokenWhiteSpace, "request.subject_token_white_space", 400, bad),
        token(T::AlgorithmNotAllowed, "token.algorithm_not_allowed"),
        (Refusal::AudienceMismatch { accepted: vec![] }, "token.audience_mismatch", 400, bad),
        token(T::ClaimMismatch("org_id".into()), "token.claim_mismatch"),
        token(T::ClaimMissing("exp".into()), "token.claim_missing"),
        token(T::ClaimInvalid("exp".into()), "token.claim_invalid"),
        token(T::CriticalHeader, "token.critical_header"),
        token(T::Expired, "token.expired"),
        token(T::IssuerUntrusted, "token.issuer_untrusted"),
        token(T::KeyUnknown, "token.key_unknown"),
        token(T::KeyUnusable, "token.key_unusable"),
        token(T::Malformed, "token.malformed"),
        token(T::NotYetValid, "token.not_yet_valid"),
        token(T::SignatureInvalid, "token.signature_invalid"),
        token(T::TooLarge, "token.too_large"),
        token(T::TooOld, "token.too_old"),
        token(T::TypeNotAllowed, "token.type_not_allowed"),
        denied(Denial::TierUnavailable, "audience.tier_unavailable", "invalid_target"),
        denied(Denial::AudienceUnknown, "audience.unknown", "invalid_target"),
        denied(Denial::PolicyDenied, "policy.denied", "invalid_target"),
        denied(Denial::Revoked, "exchange.revoked", "invalid_target"),
        denied(Denial::ScopeMissing, "scope.missing", "invalid_scope"),
        denied(Denial::ScopeNotOffered, "scope.not_offered", "invalid_scope"),
        denied(Denial::SignerRefused, "signer.refused", "invalid_target"),
        (Refusal::Replay(ReplayFault::PredatesStore), "replay.predates_store", 400, bad),
        (Refusal::Replay(ReplayFault::Spent), "replay.spent", 400, bad),
        (Refusal::DeniedTooOften { retry_after_seconds: 7 }, "subject.denied_too_often", 429, "slow_down"),
        down(Part::Issuer, "issuer.unavailable"),
        down(Part::Policy, "policy.unavailable"),
        down(Part::Signer, "signer.unavailable"),
        down(Part::Store, "store.unavailable"),
        (Refusal::Overloaded, "exchange.overloaded", 503, "temporarily_unavailable"),
        (Refusal::Internal, "internal", 500, "server_error"),
    ]);
    all
}

#[test]
fn maps_each_refusal_to_slug_status_and_code() {
    let mut slugs = HashSet::new();
    for (refusal, slug, status, error) in every_refusal() {
        let wire = WireError::from(&refusal);
        assert_eq!((refusal.slug(), wire.status, wire.error), (slug, status, error));
        assert!(slugs.insert(slug), "`{slug}` names one refusal only");
        let retry_after = match status {
            429 => Some(7),
            503 => Some(2),
            _ => None,
        };
        assert_eq!(wire.retry_after_seconds, retry_after, "{slug}");
        let legal = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(wire.description.bytes().all(legal), "RFC 6749 §5.2 limits the characters of `{}`", wire.description);
        assert!(!wire.description.is_empty());
    }
}

/// RFC 7523 §3.1 against RFC 8693 §2.2.2.
#[test]
fn names_invalid_assertions_invalid_grant() {
    let of_assertion = |slug: &str| {
        let request = ["request.subject_token_bearer", "request.subject_token_white_space"];
        slug.starts_with("token.") || slug.starts_with("replay.") || request.contains(&slug)
    };
    for (refusal, slug, status, error) in every_refusal() {
        let expected = if of_assertion(slug) { "invalid_grant" } else { error };
        let wire = WireError::of_grant(&refusal, Grant::JwtBearer);
        assert_eq!((wire.status, wire.error), (status, expected), "{slug}");
        let plain = WireError::from(&refusal);
        assert_eq!(wire.description, plain.description);
        assert_eq!(WireError::of_grant(&refusal, Grant::TokenExchange), plain);
    }
}

#[test]
fn describes_unknown_audience_and_denial_alike() {
    let text = |denial| WireError::from(&Refusal::Denied(denial));
    assert_eq!(text(Denial::AudienceUnknown), text(Denial::PolicyDenied));
}

#[test]
fn hides_claim_names_with_forbidden_characters() {
    for name in ["a\"b", "a\\b", "a\nb", "ä", &"x".repeat(65)] {
        let wire = WireError::from(&Refusal::Token(TokenError::ClaimInvalid(name.to_owned())));
        assert_eq!(wire.description, "the subject token lacks a required claim or has an invalid one");
    }
}

/// JSON members are unordered (RFC 8259 §4).
fn members(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap()
}

#[test]
fn ends_description_with_an_id() {
    let wire = WireError::from(&Refusal::Denied(Denial::PolicyDenied));
    assert_eq!(
        members(&wire.body("req", Some("abc"))),
        members(
            r#"{"decision_id":"abc","error":"invalid_target","error_description":"the requested audience is unknown or not allowed for this subject (decision abc)"}"#
        )
    );
    let wire = WireError::from(&Refusal::Token(TokenError::Expired));
    assert_eq!(
        members(&wire.body("req", None)),
        members(r#"{"error":"invalid_request","error_description":"the subject token has expired (request req)"}"#)
    );
}

#[test]
fn names_accepted_audiences_in_mismatch() {
    let check = |accepted: &[&str], expected: &str| {
        let accepted = accepted.iter().map(|&audience| audience.to_owned()).collect();
        let wire = WireError::from(&Refusal::AudienceMismatch { accepted });
        assert_eq!(wire.description, format!("the subject token's audience is not this broker{expected}"));
    };
    check(&["https://broker.example"], ": its aud must be https://broker.example");
    check(&["a", "b", "c", "d"], ": its aud must be one of a, b, c");
    let (longest, too_long) = ("x".repeat(256), "x".repeat(257));
    check(&[&longest], &format!(": its aud must be {longest}"));
    // What a description must not contain is left out (RFC 6749 §5.2).
    check(&[&too_long, "a\"b", "a\\b", "ä", "a\nb"], "");
    check(&["ä", "b"], ": its aud must be b");
}

#[test]
fn renders_success_as_rfc_8693_requires() {
    let fake = Fake::new();
    let body = success(&attempt(&fake, "&scope=read").outcome.map_err(|f| f.refusal).unwrap());
    assert_eq!(
        members(&body),
        members(
            r#"{"access_token":"signed.by.fake","expires_in":300,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token","scope":"read","token_type":"Bearer"}"#
        )
    );
    let form = format!("{FORM}&requested_token_type=urn:ietf:params:oauth:token-type:jwt");
    let body = success(
        &run(exchange(&fake, form.as_bytes(), &[], &[], &ForwardedFor::default()))
            .outcome
            .map_err(|f| f.refusal)
            .unwrap(),
    );
    assert_eq!(
        members(&body),
        members(
            r#"{"access_token":"signed.by.fake","expires_in":300,"issued_token_type":"urn:ietf:params:oauth:token-type:jwt","token_type":"N_A"}"#
        )
    );
}
