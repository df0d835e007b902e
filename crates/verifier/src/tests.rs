use super::{Check, Keys, PinnedRoot, Rules, VerificationError, VerifiedToken, verify_signature};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use vouchsafe_x509::{EpochLeaf, LeafKey, PinError, RootCertificate, RootKey};

pub(super) const ISSUER: &str = "https://broker.example";
pub(super) const NOW: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

pub(super) fn pair() -> EcdsaKeyPair {
    let (random, scheme) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let document = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(scheme, document.as_ref(), &random).unwrap()
}

pub(super) fn sign(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    let signature = pair.sign(&SystemRandom::new(), message).unwrap();
    signature.as_ref().to_vec()
}

fn point(pair: &EcdsaKeyPair) -> ([u8; 32], [u8; 32]) {
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    (x.try_into().unwrap(), y.try_into().unwrap())
}

struct Root {
    pair: EcdsaKeyPair,
    certificate: RootCertificate,
    pinned: PinnedRoot,
}

fn root() -> Root {
    let pair = pair();
    let (x, y) = point(&pair);
    let key = RootKey::p256(&x, &y).unwrap();
    let draft = key.draft(NOW).unwrap();
    let signature = sign(&pair, draft.message());
    let certificate = RootCertificate::new(&draft.signed(&signature).unwrap(), key).unwrap();
    let pinned = PinnedRoot::from_pem(certificate.to_pem().unwrap().as_bytes()).unwrap();
    Root { pair, certificate, pinned }
}

/// The certificate of `key`, as base64.
fn certificate(root: &Root, key: &EcdsaKeyPair, issuer: &str) -> String {
    let (x, y) = point(key);
    let leaf = EpochLeaf {
        issuer,
        group: "default",
        generation: 1,
        epoch_start: NOW,
        algorithm: "ES256",
        key: LeafKey::P256 { x, y },
        not_before: NOW - 2 * HOUR,
        not_after: NOW + 2 * HOUR,
    };
    let draft = root.certificate.leaf(&leaf).unwrap();
    let signature = sign(&root.pair, draft.message());
    STANDARD.encode(draft.signed(&signature).unwrap())
}

pub(super) fn jwks(key: &EcdsaKeyPair, chain: Option<String>) -> Vec<u8> {
    let (x, y) = point(key);
    let mut jwk = json!({ "alg": "ES256", "crv": "P-256", "kty": "EC", "kid": "k", "x": encode(&x), "y": encode(&y) });
    if let Some(certificate) = chain {
        jwk["x5c"] = json!([certificate]);
    }
    json!({ "keys": [jwk] }).to_string().into_bytes()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": "a", "sub": "s", "exp": NOW + 60, "nbf": NOW - 5 })
}

fn token(key: &EcdsaKeyPair, claims: &Value) -> String {
    let header = json!({ "alg": "ES256", "kid": "k", "typ": "at+jwt" }).to_string();
    let (header, claims) = (encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
    let input = format!("{header}.{claims}");
    format!("{input}.{}", encode(&sign(key, input.as_bytes())))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Rules without leeway, and the time.
fn expected(root: Option<&PinnedRoot>, now: u64) -> (Rules<'_>, u64) {
    (Rules { root, leeway_seconds: 0, ..Rules::access_token(ISSUER, "a") }, now)
}

fn verify(token: &str, jwks: &[u8], (rules, now): &(Rules<'_>, u64)) -> Result<VerifiedToken, VerificationError> {
    super::verify(token, &Keys::parse(jwks).unwrap(), rules, *now)
}

#[track_caller]
fn refuses(outcome: Result<VerifiedToken, VerificationError>, check: Check, reason: &str) {
    let error = outcome.expect_err(reason);
    assert_eq!((error.check, error.reason.as_str()), (check, reason));
}

#[test]
fn pinned_root_certifies_its_published_keys() {
    let (root, key) = (root(), pair());
    let keys = jwks(&key, Some(certificate(&root, &key, ISSUER)));
    let at = |now: u64| {
        let mut claims = claims();
        claims["exp"] = (now + 60).into();
        claims["nbf"] = (now - 5).into();
        verify(&token(&key, &claims), &keys, &expected(Some(&root.pinned), now))
    };
    for now in [NOW - 2 * HOUR, NOW, NOW + 2 * HOUR] {
        let verified = at(now).unwrap();
        let leaf = verified.pinned.unwrap();
        assert!(leaf.subject.contains("epoch 1800000000 ES256"), "{leaf:?}");
        assert_eq!(verified.expires, now + 60);
    }
    refuses(at(NOW - 2 * HOUR - 1), Check::Certificate, "the certificate is not valid yet");
    refuses(at(NOW + 2 * HOUR + 1), Check::Certificate, "the certificate has expired");
}

/// An attacker who controls the JWK Set can add such keys.
#[test]
fn rejects_keys_without_a_certificate_of_the_pinned_root() {
    let (root, stranger, key) = (root(), self::root(), pair());
    let other = pair();
    for (chain, reason) in [
        (None, "the key has no certificate"),
        (Some(certificate(&stranger, &key, ISSUER)), "the certificate is not signed by the pinned root"),
        (Some(certificate(&root, &key, "https://other.example")), "the certificate is for another issuer"),
    ] {
        let (keys, token) = (jwks(&key, chain), token(&key, &claims()));
        refuses(verify(&token, &keys, &expected(Some(&root.pinned), NOW)), Check::Certificate, reason);
        assert!(verify(&token, &keys, &expected(None, NOW)).is_ok());
    }
    // The certificate of another key is refused with the JWK, pin or not.
    let keys = jwks(&key, Some(certificate(&root, &other, ISSUER)));
    let outcome = verify(&token(&key, &claims()), &keys, &expected(None, NOW));
    refuses(outcome, Check::Key, "the key can't be used with this algorithm");
    let (x, y) = point(&key);
    let der = STANDARD.decode(certificate(&root, &other, ISSUER)).unwrap();
    assert_eq!(root.pinned.vouches_for(&der, &LeafKey::P256 { x, y }, ISSUER, NOW), Err(PinError::Key));
}

/// A root in place of a leaf, and files that are not roots.
#[test]
fn distinguishes_roots_from_leaves() {
    let (root, key) = (root(), pair());
    let (x, y) = point(&root.pair);
    let der = root.certificate.to_der().unwrap();
    let outcome = root.pinned.vouches_for(&der, &LeafKey::P256 { x, y }, ISSUER, NOW);
    assert_eq!(outcome, Err(PinError::Constraints));
    let leaf = certificate(&root, &key, ISSUER);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{leaf}\n-----END CERTIFICATE-----\n");
    for file in [pem.as_str(), "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(PinnedRoot::from_pem(file.as_bytes()).err(), Some(PinError::Root));
    }
}

#[test]
fn rejects_corrupted_certificates() {
    let (root, key) = (root(), pair());
    let (x, y) = point(&key);
    let der = STANDARD.decode(certificate(&root, &key, ISSUER)).unwrap();
    for index in 0..der.len() {
        let mut corrupted = der.clone();
        corrupted[index] ^= 1;
        let outcome = root.pinned.vouches_for(&corrupted, &LeafKey::P256 { x, y }, ISSUER, NOW);
        assert!(outcome.is_err(), "byte {index}");
    }
    assert!(root.pinned.vouches_for(&der, &LeafKey::P256 { x, y }, ISSUER, NOW).is_ok());
}

#[test]
fn verifies_claims_and_signature_strictly() {
    let key = pair();
    let keys = jwks(&key, None);
    let outcome = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        verify(&token(&key, &claims), &keys, &expected(None, NOW))
    };
    assert!(outcome("exp", json!(NOW + 1)).is_ok());
    assert!(outcome("nbf", json!(NOW)).is_ok());
    for (name, value, reason) in [
        ("exp", json!(NOW), "expired"),
        ("exp", json!("1800000060"), "`exp` is missing"),
        ("nbf", json!(NOW + 1), "not valid yet"),
        ("nbf", json!("soon"), "not valid yet"),
        ("iss", json!("https://broker.example/"), "`iss` is `https://broker.example/`, not `https://broker.example`"),
        ("iss", Value::Null, "`iss` is `null`, not `https://broker.example`"),
        ("aud", json!(["a"]), "`aud` is `[\"a\"]`, not `a`"),
        ("aud", json!("b\u{1b}[2J"), "`aud` is `b\u{fffd}[2J`, not `a`"),
        ("sub", json!(""), "`sub` is missing"),
    ] {
        refuses(outcome(name, value), Check::Claims, reason);
    }
    let other = token(&pair(), &claims());
    let outcome = verify(&other, &keys, &expected(None, NOW));
    refuses(outcome, Check::Signature, "the signature does not verify");
    let outcome = verify("x", &keys, &expected(None, NOW));
    assert_eq!(outcome.unwrap_err().check, Check::Token);
}

#[test]
fn verifies_signatures_alone() {
    let (key, other) = (pair(), pair());
    let check = |token: &str, jwks: &[u8]| verify_signature(token, &Keys::parse(jwks)?).map(drop);
    let (keys, jws) = (jwks(&key, None), token(&key, &json!({})));
    assert_eq!(check(&jws, &keys), Ok(()));
    for (token, jwks, expected, reason) in [
        (token(&other, &json!({})).as_str(), &keys[..], Check::Signature, "the signature does not verify"),
        (&jws, br#"{"keys":[]}"#, Check::Key, "no such key in the key set"),
        (&jws, b"<html>", Check::KeySet, "the key set is not strict JSON"),
    ] {
        let error = check(token, jwks).unwrap_err();
        assert_eq!((error.check, error.reason.as_str()), (expected, reason));
    }
}

/// Signs a token with another header.
fn with_header(key: &EcdsaKeyPair, header: &Value) -> String {
    let input = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims().to_string().as_bytes()));
    format!("{input}.{}", encode(&sign(key, input.as_bytes())))
}

#[test]
fn header_must_be_of_an_allowed_access_token() {
    let key = pair();
    let keys = jwks(&key, None);
    let outcome = |name: &str, value: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "k", "typ": "at+jwt" });
        header[name] = value;
        verify(&with_header(&key, &header), &keys, &expected(None, NOW))
    };
    assert!(outcome("alg", json!("ES256")).is_ok());
    for (name, value, check, reason) in [
        ("typ", json!("JWT"), Check::Token, "`typ` is not at+jwt"),
        ("typ", json!("AT+JWT"), Check::Token, "`typ` is not at+jwt"),
        ("alg", json!("EdDSA"), Check::Token, "`alg` EdDSA is not allowed"),
        ("alg", json!("none"), Check::Token, "unsupported signature algorithm"),
        ("alg", json!("HS256"), Check::Token, "unsupported signature algorithm"),
        ("kid", json!("stranger"), Check::Key, "no such key in the key set"),
    ] {
        refuses(outcome(name, value), check, reason);
    }
    let rules = Rules::access_token(ISSUER, "a");
    let error =
        super::check_header(&with_header(&key, &json!({ "alg": "EdDSA", "typ": "at+jwt" })), &rules).unwrap_err();
    assert_eq!((error.check, error.reason.as_str()), (Check::Token, "`alg` EdDSA is not allowed"));
    assert_eq!(super::check_header(&token(&pair(), &json!({})), &rules), Ok(()));
    for (name, value) in [("crit", json!(["b64"])), ("b64", json!(true)), ("kid", json!(1))] {
        assert_eq!(outcome(name, value).unwrap_err().check, Check::Token, "{name}");
    }
}

#[test]
fn long_tokens_are_not_parsed() {
    for length in [16 * 1024 + 1, 10_000_000] {
        let outcome = verify(&"a".repeat(length), br#"{"keys":[]}"#, &expected(None, NOW));
        refuses(outcome, Check::Token, "the token is longer than 16384 bytes");
    }
}

#[test]
fn leeway_covers_a_few_seconds() {
    let key = pair();
    let keys = jwks(&key, None);
    for (name, time, expected) in
        [("exp", NOW - 4, true), ("exp", NOW - 5, false), ("nbf", NOW + 5, true), ("nbf", NOW + 6, false)]
    {
        let mut claims = claims();
        claims[name] = json!(time);
        let outcome = verify(&token(&key, &claims), &keys, &(Rules::access_token(ISSUER, "a"), NOW));
        assert_eq!(outcome.is_ok(), expected, "{name} {time}");
    }
}

#[test]
fn scopes_are_whole_words() {
    let key = pair();
    let keys = jwks(&key, None);
    let rules = Rules { scopes: &["read", "write"], ..Rules::access_token(ISSUER, "a") };
    for (scope, reason) in [
        (json!("write read"), None),
        (json!("read write-all"), Some("the scope `write` is missing")),
        (json!("READ write"), Some("the scope `read` is missing")),
        (json!(["read", "write"]), Some("the scope `read` is missing")),
        (Value::Null, Some("the scope `read` is missing")),
    ] {
        let mut claims = claims();
        claims["scope"] = scope;
        let outcome = verify(&token(&key, &claims), &keys, &(rules, NOW));
        match reason {
            None => drop(outcome.unwrap()),
            Some(reason) => refuses(outcome, Check::Scope, reason),
        }
    }
}
