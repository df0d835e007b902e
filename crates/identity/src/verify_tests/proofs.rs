//! What the proof cache remembers, and for how long.

use std::rc::Rc;

use vouchsafe_jose::KeyUse;

use super::*;
use crate::{PROOFS_MAX, ProofCache};

fn verify_remembering(
    token: &str,
    issuer: &TrustedIssuer,
    keys: &TrustedKeys,
    now: UnixSeconds,
    proofs: &mut ProofCache,
) -> Result<VerifiedSubject, TokenError> {
    UnverifiedToken::parse(token)?.verify(issuer, keys, now, proofs)
}

/// Keys under the issuer's names that verify none of its signatures, so that only a cached one passes.
fn others(digest: &str, until: UnixSeconds) -> TrustedKeys {
    let jwk = TestKey::stranger("RS256").jwk("RS256");
    let document = serde_json::json!({ "keys": [jwk] }).to_string();
    let set =
        vouchsafe_jose::KeySet::parse(document.as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software).unwrap();
    TrustedKeys::new(Rc::new(set), digest, until)
}

fn named(name: &str) -> TrustedIssuer {
    TrustedIssuer::try_from(IssuerRecord { name: name.to_owned(), ..testkit::issuer_record() }).unwrap()
}

/// A cache that has verified the valid token with the keys of digest `test`.
fn warm(until: UnixSeconds) -> (String, ProofCache) {
    let mut proofs = ProofCache::new();
    let token = mint(&testkit::claims());
    let set = vouchsafe_jose::KeySet::parse(
        testkit::key_set_document().as_bytes(),
        KeyUse::Signature,
        &vouchsafe_crypto::Software,
    )
    .unwrap();
    let keys = TrustedKeys::new(Rc::new(set), "test", until);
    verify_remembering(&token, &issuer(), &keys, NOW, &mut proofs).unwrap();
    assert_eq!(proofs.len(), 1);
    (token, proofs)
}

const LONG: UnixSeconds = UnixSeconds(testkit::NOW + 10_000);

#[test]
fn skips_signature_check_of_cached_token() {
    let (token, mut proofs) = warm(LONG);
    let again = verify_remembering(&token, &issuer(), &others("test", LONG), NOW, &mut proofs);
    assert!(again.is_ok());
    assert_eq!(proofs.len(), 1);
}

#[test]
fn caches_token_per_keys_and_issuer() {
    let (token, mut proofs) = warm(LONG);
    let refused = |outcome: Result<VerifiedSubject, TokenError>| outcome.map(|_| ());
    let of_other_keys = verify_remembering(&token, &issuer(), &others("other", LONG), NOW, &mut proofs);
    assert_eq!(refused(of_other_keys), Err(TokenError::SignatureInvalid));
    let of_other_name = verify_remembering(&token, &named("idp2"), &others("test", LONG), NOW, &mut proofs);
    assert_eq!(refused(of_other_name), Err(TokenError::SignatureInvalid));
    let of_another_provider =
        TrustedIssuer::try_from(IssuerRecord { provider: "buildkite".to_owned(), ..testkit::issuer_record() }).unwrap();
    let outcome = verify_remembering(&token, &of_another_provider, &others("test", LONG), NOW, &mut proofs);
    assert_eq!(refused(outcome), Err(TokenError::SignatureInvalid));
    // Another token with the same claims has another signing input; a changed signature, another hash.
    let (input, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{input}.{}", testkit::base64url([0; 256]));
    let outcome = verify_remembering(&forged, &issuer(), &others("test", LONG), NOW, &mut proofs);
    assert_eq!(refused(outcome), Err(TokenError::SignatureInvalid));
    assert_eq!(proofs.len(), 1, "what fails is not remembered");
}

#[test]
fn expires_signature_with_trust_in_keys() {
    let until = NOW.plus(60);
    let (token, mut proofs) = warm(until);
    let mut at = |now: u64| {
        let now = UnixSeconds(now);
        verify_remembering(&token, &issuer(), &others("test", LONG), now, &mut proofs).map(|_| ())
    };
    assert_eq!(at(until.0 - 1), Ok(()));
    assert_eq!(at(until.0), Err(TokenError::SignatureInvalid));
}

#[test]
fn rechecks_times_and_audience_of_cached_token() {
    let (token, mut proofs) = warm(LONG);
    let mut at = |now: u64| {
        let now = UnixSeconds(now);
        verify_remembering(&token, &issuer(), &others("test", LONG), now, &mut proofs).map(|_| ())
    };
    assert_eq!(at(testkit::NOW + 300 + testkit::LEEWAY_SECONDS), Err(TokenError::SignatureInvalid));
    assert_eq!(at(testkit::NOW + 300 + testkit::LEEWAY_SECONDS - 1), Ok(()));
    assert_eq!(at(testkit::NOW - testkit::LEEWAY_SECONDS - 1), Err(TokenError::NotYetValid));
    let elsewhere = TrustedIssuer::try_from(IssuerRecord {
        audiences: vec!["https://elsewhere.example".to_owned()],
        ..testkit::issuer_record()
    })
    .unwrap();
    let outcome = verify_remembering(&token, &elsewhere, &others("test", LONG), NOW, &mut proofs);
    assert_eq!(outcome.map(|_| ()), Err(TokenError::AudienceMismatch));
    let expired_keys = verify_remembering(&token, &issuer(), &others("test", NOW), NOW, &mut proofs);
    assert_eq!(expired_keys.map(|_| ()), Err(TokenError::KeyUnusable));
}

#[test]
fn evicts_oldest_proofs() {
    let mut proofs = ProofCache::new();
    let key = TestKey::issuer("EdDSA");
    let token = |number: usize| {
        let mut claims = testkit::claims();
        claims["jti"] = number.to_string().into();
        mint_raw(&key, r#"{"alg":"EdDSA","kid":"EdDSA"}"#, claims.to_string())
    };
    for number in 0..=PROOFS_MAX {
        verify_remembering(&token(number), &issuer(), &keys(), NOW, &mut proofs).unwrap();
        assert_eq!(proofs.len(), (number + 1).min(PROOFS_MAX));
    }
    let set = TrustedKeys::new(
        Rc::new(
            vouchsafe_jose::KeySet::parse(br#"{"keys":[]}"#, KeyUse::Signature, &vouchsafe_crypto::Software).unwrap(),
        ),
        "test",
        NOW.plus(1),
    );
    let mut of = |number| verify_remembering(&token(number), &issuer(), &set, NOW, &mut proofs).map(|_| ());
    // Without its key, nothing passes, cached or not: key lookup comes first.
    assert_eq!(of(PROOFS_MAX), Err(TokenError::KeyUnknown));
}
