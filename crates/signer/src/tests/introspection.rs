//! Signed responses to introspections.

use serde_json::json;

use super::*;

const ACTIVE: &str = r#"{"active":true,"sub":"github:app","exp":1800001200}"#;
const CALLER: &str = "apache";

fn sign(signer: &mut Signer, audience: &str, response: &str, issued_at: u64) -> Result<String, Error> {
    signer.sign_introspection(audience, response, issued_at, 0, NOW, &entropy())
}

/// RFC 9701 §5 and §8.1: what would make the response an access token is inside `token_introspection`.
#[test]
fn response_is_no_access_token() {
    let mut signer = signer();
    for response in [ACTIVE, r#"{"active":false}"#] {
        let jwt = sign(&mut signer, CALLER, response, NOW.0).unwrap();
        let (header, payload) = verified(&jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
        assert_eq!((&header["typ"], &header["alg"]), (&json!("token-introspection+jwt"), &json!("ES256")));
        let inner: Value = serde_json::from_str(response).unwrap();
        assert_eq!(payload, json!({ "iss": ISSUER, "aud": CALLER, "iat": NOW.0, "token_introspection": inner }));
    }
}

#[test]
fn refuses_other_texts_than_responses() {
    let mut signer = signer();
    for response in ["", "{}", "[]", "true", r#"{"active":"true"}"#, r#"{"active":true"#, r#"["active"]"#] {
        let outcome = sign(&mut signer, CALLER, response, NOW.0);
        assert_eq!(outcome, Err(Error::Refused(Ceiling::Introspection)), "{response}");
    }
    let padded = |bytes: usize| {
        let text = "x".repeat(bytes - r#"{"active":true,"a":""}"#.len());
        format!(r#"{{"active":true,"a":"{text}"}}"#)
    };
    assert!(sign(&mut signer, CALLER, &padded(INTROSPECTION_BYTES_MAX), NOW.0).is_ok());
    let over = sign(&mut signer, CALLER, &padded(INTROSPECTION_BYTES_MAX + 1), NOW.0);
    assert_eq!(over, Err(Error::Refused(Ceiling::Introspection)));
}

#[test]
fn bounds_audience_and_time() {
    let mut signer = signer();
    assert!(sign(&mut signer, &"a".repeat(SUBJECT_BYTES_MAX), ACTIVE, NOW.0).is_ok());
    for audience in ["", &"a".repeat(SUBJECT_BYTES_MAX + 1)] {
        assert_eq!(sign(&mut signer, audience, ACTIVE, NOW.0), Err(Error::Refused(Ceiling::AudienceText)));
    }
    for (skew, accepted) in [(ISSUED_AT_SKEW_SECONDS_MAX, true), (ISSUED_AT_SKEW_SECONDS_MAX + 1, false)] {
        for issued_at in [NOW.0 - skew, NOW.0 + skew] {
            assert_eq!(sign(&mut signer, CALLER, ACTIVE, issued_at).is_ok(), accepted, "{issued_at}");
        }
    }
}

#[test]
fn superseded_generation_signs_nothing() {
    let mut signer = signer();
    let outcome = signer.sign_introspection(CALLER, ACTIVE, NOW.0, 2, NOW, &entropy());
    assert_eq!(outcome, Err(Error::Superseded(Superseded { generation: 1, latest: 2 })));
}
