//! Complete tokens through `verify`, each rejected for exactly one reason.

mod attributes;
mod delegation;
mod gitlab;
mod headers;
mod keys;
mod kubernetes;
mod proofs;
mod registered;
mod samples;
mod spiffe;
mod times;

use serde_json::Value;
use vouchsafe_jose::JsonError;

use super::*;
use crate::error::ClaimName;
use crate::testkit::{self, TestKey, issuer, keys, mint, mint_raw};
use vouchsafe_types::{
    AttributeValue, ClaimType, DeclaredClaim, IssuerRecord, KeySource, PinnedKeys, Principal, RequiredClaim,
};

const NOW: UnixSeconds = UnixSeconds(testkit::NOW);

fn declared(name: &str, claim_type: ClaimType, required: bool) -> DeclaredClaim {
    let name = name.to_owned();
    DeclaredClaim { name, claim_type, required }
}

fn missing(name: &'static str) -> TokenError {
    TokenError::ClaimMissing(ClaimName(name.into()))
}

fn invalid(name: &'static str) -> TokenError {
    TokenError::ClaimInvalid(ClaimName(name.into()))
}

/// The issuers that `token` names.
fn issuers(token: &str) -> Result<Vec<String>, TokenError> {
    Ok(UnverifiedToken::parse(token)?.issuers().to_vec())
}

/// Verifies `token` for the plain issuer at `NOW`.
fn check(name: &str, token: &str, expected: Result<(), TokenError>) {
    let outcome = verify(token, &issuer(), &keys(), NOW).map(|_| ());
    assert_eq!(outcome, expected, "{name}");
}

/// Verifies valid claims with `name` set to `value`, or removed.
fn check_claim(name: &str, value: Option<Value>, expected: Result<(), TokenError>) {
    let shown = format!("{name} {value:?}");
    check(&shown, &mint(&claims_with(name, value)), expected);
}

fn claims_with(name: &str, value: Option<Value>) -> Value {
    let mut claims = testkit::claims();
    let members = claims.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    claims
}

#[test]
fn verifies_valid_token_of_each_algorithm() {
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}"}}"#);
        let token = mint_raw(&TestKey::issuer(algorithm), &header, testkit::claims().to_string());
        check(algorithm, &token, Ok(()));
    }
}

#[test]
fn returns_the_verified_subject() {
    let token = mint(&testkit::claims());
    let signing_input = token.rsplit_once('.').unwrap().0;
    let verified = verify(&token, &issuer(), &keys(), NOW).unwrap();
    let expected = Subject {
        principal: Principal {
            entity_type: "Oidc::Idp".to_owned(),
            id: "workload".to_owned(),
            issuer_name: "idp".to_owned(),
            attributes: Vec::new(),
        },
        iss: testkit::ISSUER.to_owned(),
        name: "workload".to_owned(),
        jti: Some("token-1".to_owned()),
        exp: testkit::NOW + 300,
        iat: Some(testkit::NOW),
        signing_input_digest: sha256_hex(signing_input.as_bytes()),
        key_thumbprint: None,
        actors: Vec::new(),
        may_act: None,
        scopes: None,
        txn: None,
    };
    assert_eq!(verified.subject(), &expected);
    assert_eq!(verified.into_subject(), expected);
}

/// ECDSA signatures have a second valid form: replay protection must treat both as one token.
#[test]
fn digests_both_ecdsa_signature_forms_alike() {
    let key = TestKey::issuer("ES256");
    let payload = testkit::claims().to_string();
    let mint = || mint_raw(&key, r#"{"alg":"ES256","kid":"ES256"}"#, &payload);
    let (one, other) = (mint(), mint());
    assert_ne!(one, other);
    let digest = |token: &str| verify(token, &issuer(), &keys(), NOW).unwrap().into_subject().signing_input_digest;
    assert_eq!(digest(&one), digest(&other));
}

#[test]
fn parses_without_verifying() {
    let token = mint_raw(&TestKey::stranger("ES256"), r#"{"alg":"ES256","kid":"x"}"#, r#"{"iss":"anyone"}"#);
    assert_eq!(issuers(&token), Ok(vec!["anyone".to_owned()]));
}

#[test]
fn accepts_only_string_issuers() {
    let header = r#"{"alg":"RS256"}"#;
    for (payload, expected) in [
        ("{}", missing("iss")),
        (r#"{"iss":["https://issuer.example"]}"#, invalid("iss")),
        (r#"{"iss":null}"#, invalid("iss")),
        (r#"{"iss":1}"#, invalid("iss")),
        (r#"{"iss":"a","iss":"b"}"#, TokenError::Malformed(Malformed::Payload(JsonError::DuplicateMember))),
        ("[]", TokenError::Malformed(Malformed::Payload(JsonError::NotAnObject))),
        ("", TokenError::Malformed(Malformed::Payload(JsonError::Syntax))),
    ] {
        assert_eq!(issuers(&mint_raw(&TestKey::stranger("RS256"), header, payload)), Err(expected), "{payload}");
    }
}

#[test]
fn rejects_payloads_that_are_not_strict_json() {
    let good = testkit::claims().to_string();
    let open = good.strip_suffix('}').unwrap();
    let nested = |levels: usize| format!("{open},\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    for (payload, error) in [
        (format!("{open},\"sub\":\"other\"}}"), JsonError::DuplicateMember),
        (format!("{open},\"s\\u0075b\":\"other\"}}"), JsonError::DuplicateMember),
        (format!("{open},\"x\":[{{\"a\":1,\"a\":1}}]}}"), JsonError::DuplicateMember),
        (nested(8), JsonError::TooDeep),
        (format!("{good} x"), JsonError::Syntax),
        (format!("\u{feff}{good}"), JsonError::Syntax),
        (format!("{open},\"x\":\"\\ud800\"}}"), JsonError::Syntax),
        (format!("{open},\"x\":1e999}}"), JsonError::Syntax),
        ("null".to_owned(), JsonError::NotAnObject),
    ] {
        let token = mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256"}"#, &payload);
        check(&payload, &token, Err(TokenError::Malformed(Malformed::Payload(error))));
    }
    let deepest = mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256"}"#, nested(7));
    check("deepest", &deepest, Ok(()));
    let not_utf8 = mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256"}"#, b"{\"sub\":\"\xff\"}");
    check("not UTF-8", &not_utf8, Err(TokenError::Malformed(Malformed::Payload(JsonError::NotUtf8))));
}

#[test]
fn bounds_the_number_of_claims() {
    let with = |total: usize| {
        let mut claims = testkit::claims();
        let members = claims.as_object_mut().unwrap();
        for number in members.len()..total {
            members.insert(format!("c{number}"), Value::Null);
        }
        mint(&claims)
    };
    check("most", &with(CLAIMS_MAX), Ok(()));
    check("one more", &with(CLAIMS_MAX + 1), Err(TokenError::Malformed(Malformed::TooManyClaims)));
}

#[test]
fn gives_each_refusal_its_own_slug() {
    let name = || ClaimName("exp".into());
    let slugs = [
        TokenError::AlgorithmNotAllowed,
        TokenError::AudienceMismatch,
        TokenError::ClaimInvalid(name()),
        TokenError::ClaimMissing(name()),
        TokenError::CriticalHeader,
        TokenError::Expired,
        TokenError::IssuerUntrusted,
        TokenError::KeyUnknown,
        TokenError::KeyUnusable,
        TokenError::Malformed(Malformed::Framing),
        TokenError::NotYetValid,
        TokenError::SignatureInvalid,
        TokenError::TooLarge,
        TokenError::TooOld,
        TokenError::TypeNotAllowed,
    ]
    .map(|error| error.slug());
    assert!(slugs.is_sorted_by(|a, b| a < b), "{slugs:?}");
    assert!(slugs.iter().all(|slug| slug.starts_with("token.")));
}
