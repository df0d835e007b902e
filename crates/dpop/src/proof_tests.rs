//! Each check of RFC 9449 §4.3, both sides of each limit.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vouchsafe_crypto::{ENTROPY_BYTES, Entropy, PrivateNumbers, SigningKey, Software};

const NOW: u64 = 1_800_000_000;
const URL: &str = "https://broker.example/token";
const REQUEST: Request<'_> = Request { method: "POST", url: URL, access_token: None };

/// The key of a client, and the public key that its proofs name.
fn key(seed: u8) -> (Box<dyn SigningKey>, Value) {
    let key = Software.signing_key(PrivateNumbers::P256(&[seed; 32])).unwrap();
    let (x, y) = key.public_key()[1..].split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
    (key, jwk)
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(key: &dyn SigningKey, header: &str, claims: &str) -> String {
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(input.as_bytes(), &Entropy::from_bytes([1; ENTROPY_BYTES])).unwrap();
    format!("{input}.{}", encode(signature))
}

fn header() -> Value {
    json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key(7).1 })
}

fn claims() -> Value {
    json!({ "jti": "j1", "htm": "POST", "htu": URL, "iat": NOW })
}

fn verified(proof: &str) -> Result<VerifiedProof, ProofError> {
    verify(proof, REQUEST, UnixSeconds(NOW), &Software)
}

fn check(header: &Value, claims: &Value, expected: Result<(), ProofError>) {
    let proof = signed(&*key(7).0, &header.to_string(), &claims.to_string());
    assert_eq!(verified(&proof).map(drop), expected, "{header} {claims}");
}

/// Sets a member, or removes it if `value` is null.
fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    object
}

fn check_header(name: &str, value: Value, expected: Result<(), ProofError>) {
    check(&with(header(), name, value), &claims(), expected);
}

fn check_claim(name: &str, value: Value, expected: Result<(), ProofError>) {
    check(&header(), &with(claims(), name, value), expected);
}

/// RFC 9449 §4.1, figures 1 and 2; §6.1, figure 9.
#[test]
fn accepts_the_example_of_the_rfc() {
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let request = Request { url: "https://server.example.com/token", ..REQUEST };
    let expected = VerifiedProof {
        key_thumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned(),
        jti: "-BwC3ESc6acc2lTc".to_owned(),
        issued_at: 1_562_262_616,
        nonce: None,
    };
    assert_eq!(verify(proof, request, UnixSeconds(1_562_262_616), &Software), Ok(expected));
}

#[test]
fn requires_the_type_of_a_proof() {
    check_header("typ", json!("dpop+jwt"), Ok(()));
    for typ in [json!(null), json!("JWT"), json!("dpop+jwt+wrong"), json!("DPoP+JWT"), json!("application/dpop+jwt")] {
        check_header("typ", typ, Err(ProofError::TypeNotAllowed));
    }
    check_header("typ", json!(["dpop+jwt"]), Err(ProofError::Malformed));
}

#[test]
fn takes_signature_algorithms_only() {
    for alg in ["none", "HS256", "RS512", "es256", ""] {
        check_header("alg", json!(alg), Err(ProofError::AlgorithmNotAllowed));
    }
    check_header("alg", json!(null), Err(ProofError::Malformed));
    // Another algorithm than that of the key.
    check_header("alg", json!("EdDSA"), Err(ProofError::AlgorithmNotAllowed));
    check_header("crit", json!(["exp"]), Err(ProofError::Malformed));
    let ed25519 = Software.signing_key(PrivateNumbers::Ed25519(&[7; 32])).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(ed25519.public_key()) });
    let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk });
    assert!(verified(&signed(&*ed25519, &header.to_string(), &claims().to_string())).is_ok());
}

#[test]
fn requires_a_public_key_in_the_header() {
    let (x, d) = (key(7).1["x"].clone(), encode([7; 32]));
    for jwk in [
        json!(null),
        json!("x"),
        json!({}),
        json!({ "kty": "oct", "k": encode([7; 32]) }),
        with(key(7).1, "d", json!(d)),
        with(key(7).1, "d", json!("")),
        with(key(7).1, "crv", json!("P-384")),
        with(key(7).1, "crv", json!("secp256k1")),
        with(key(7).1, "y", x),
        with(key(7).1, "use", json!("enc")),
        with(key(7).1, "key_ops", json!(["sign"])),
    ] {
        check_header("jwk", jwk, Err(ProofError::KeyInvalid));
    }
    for jwk in [
        with(key(7).1, "use", json!("sig")),
        with(key(7).1, "kid", json!("a")),
        with(key(7).1, "x", key(7).1["x"].clone()),
    ] {
        check_header("jwk", jwk, Ok(()));
    }
    // The key of somebody else, who did not sign.
    check_header("jwk", key(8).1, Err(ProofError::SignatureInvalid));
}

#[test]
fn identifies_a_key_by_its_required_members() {
    let thumbprint = |jwk: Value| {
        let proof = signed(&*key(7).0, &with(header(), "jwk", jwk).to_string(), &claims().to_string());
        verified(&proof).unwrap().key_thumbprint
    };
    let more = with(with(key(7).1, "kid", json!("a")), "use", json!("sig"));
    assert_eq!(thumbprint(key(7).1), thumbprint(more));
}

#[test]
fn requires_each_claim_in_its_type() {
    for name in ["jti", "htm", "htu", "iat"] {
        for value in [json!(null), json!({}), json!(["a"]), json!(true)] {
            check_claim(name, value, Err(ProofError::ClaimInvalid));
        }
    }
    for iat in [json!("1800000000"), json!(-1), json!(-0.5), json!(1e300), json!(u64::MAX as f64)] {
        check_claim("iat", iat, Err(ProofError::ClaimInvalid));
    }
    check_claim("iat", json!(u64::MAX), Err(ProofError::NotYetValid));
    for claims in ["", "[]", "x", r#"{"jti":"a","jti":"b","htm":"POST"}"#] {
        let proof = signed(&*key(7).0, &header().to_string(), claims);
        assert_eq!(verified(&proof), Err(ProofError::Malformed), "{claims}");
    }
}

#[test]
fn bounds_the_jti() {
    check_claim("jti", json!(""), Err(ProofError::ClaimInvalid));
    check_claim("jti", json!("x"), Ok(()));
    check_claim("jti", json!("x".repeat(JTI_BYTES_MAX)), Ok(()));
    check_claim("jti", json!("x".repeat(JTI_BYTES_MAX + 1)), Err(ProofError::ClaimInvalid));
}

#[test]
fn counts_for_one_method_and_url_only() {
    for method in ["PUT", "GET", "post", "POST ", ""] {
        check_claim("htm", json!(method), Err(ProofError::MethodMismatch));
    }
    for url in ["https://broker.example/introspect", "https://other.example/token", "/token", ""] {
        check_claim("htu", json!(url), Err(ProofError::UrlMismatch));
    }
    check_claim("htu", json!("HTTPS://BROKER.example:443/token?a=b"), Ok(()));
}

#[test]
fn accepts_proofs_within_their_window_only() {
    for (iat, expected) in [
        (NOW - PROOF_AGE_SECONDS_MAX - 1, Err(ProofError::Expired)),
        (NOW - PROOF_AGE_SECONDS_MAX, Ok(())),
        (NOW, Ok(())),
        (NOW + PROOF_AHEAD_SECONDS_MAX, Ok(())),
        (NOW + PROOF_AHEAD_SECONDS_MAX + 1, Err(ProofError::NotYetValid)),
        (0, Err(ProofError::Expired)),
    ] {
        check_claim("iat", json!(iat), expected);
    }
    // A fraction is dropped.
    check_claim("iat", json!((NOW + PROOF_AHEAD_SECONDS_MAX) as f64 + 0.5), Ok(()));
    check_claim("iat", json!((NOW - PROOF_AGE_SECONDS_MAX) as f64 - 0.5), Err(ProofError::Expired));
}

/// The hash of a token that the request does not present says nothing, and neither do the times of a token.
#[test]
fn ignores_unknown_members() {
    for (name, value) in [("exp", json!(1)), ("nbf", json!(u64::MAX)), ("ath", json!("x"))] {
        check_claim(name, value, Ok(()));
    }
    check_header("kid", json!("x"), Ok(()));
    check_header("x-unknown", json!({}), Ok(()));
}

/// The example of RFC 9449 §7.1, figures 12 and 13. kc#38333: the hash was not compared.
#[test]
fn requires_the_hash_of_the_access_token() {
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let request = Request { access_token: Some(token), ..REQUEST };
    for (ath, expected) in [
        (json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"), Ok(())),
        (json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo="), Err(ProofError::TokenMismatch)),
        (json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEp"), Err(ProofError::TokenMismatch)),
        (json!(""), Err(ProofError::TokenMismatch)),
        (json!(token), Err(ProofError::TokenMismatch)),
        (json!(null), Err(ProofError::ClaimInvalid)),
        (json!(1), Err(ProofError::ClaimInvalid)),
    ] {
        let claims = with(claims(), "ath", ath);
        let proof = signed(&*key(7).0, &header().to_string(), &claims.to_string());
        assert_eq!(verify(&proof, request, UnixSeconds(NOW), &Software).map(drop), expected, "{claims}");
    }
}

#[test]
fn returns_the_nonce_within_its_size() {
    let nonce = |value: Value| {
        let claims = with(claims(), "nonce", value);
        verified(&signed(&*key(7).0, &header().to_string(), &claims.to_string())).map(|proof| proof.nonce)
    };
    assert_eq!(nonce(json!(null)), Ok(None));
    for text in ["", "n1", &"x".repeat(NONCE_BYTES_MAX)] {
        assert_eq!(nonce(json!(text)), Ok(Some(text.to_owned())));
    }
    for value in [json!("x".repeat(NONCE_BYTES_MAX + 1)), json!(1), json!(["n1"])] {
        assert_eq!(nonce(value), Err(ProofError::ClaimInvalid));
    }
}

#[test]
fn rejects_changed_proofs() {
    let proof = signed(&*key(7).0, &header().to_string(), &claims().to_string());
    assert!(verified(&proof).is_ok());
    let parts: Vec<_> = proof.split('.').collect();
    let other = encode(with(claims(), "jti", json!("j2")).to_string());
    let changed = format!("{}.{other}.{}", parts[0], parts[2]);
    assert_eq!(verified(&changed), Err(ProofError::SignatureInvalid));
    let without = format!("{}.{}.", parts[0], parts[1]);
    for malformed in
        ["", "x", &without, &format!("{proof}.{proof}"), &format!("{proof}, {proof}"), &format!("{proof} ")]
    {
        assert_eq!(verified(malformed), Err(ProofError::Malformed), "{malformed}");
    }
}

#[test]
fn bounds_the_size_of_a_proof() {
    let sized = |pad: usize| {
        let padded = with(header(), "pad", json!("x".repeat(pad)));
        signed(&*key(7).0, &padded.to_string(), &claims().to_string())
    };
    // Base64 has four characters for three bytes.
    let room = PROOF_BYTES_MAX - sized(0).len();
    let largest = sized(room / 4 * 3);
    assert!((PROOF_BYTES_MAX - 3..=PROOF_BYTES_MAX).contains(&largest.len()), "{}", largest.len());
    assert!(verified(&largest).is_ok());
    // Refused before parsing, whatever it is.
    assert_eq!(verified(&"x".repeat(PROOF_BYTES_MAX)), Err(ProofError::Malformed));
    assert_eq!(verified(&"x".repeat(PROOF_BYTES_MAX + 1)), Err(ProofError::TooLarge));
}
