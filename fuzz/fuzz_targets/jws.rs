//! A compact JWS: what parses has one spelling, and verifies under no key of a stranger.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by a panic"
)]
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use vouchsafe_identity::{TokenError, UnverifiedToken};
use vouchsafe_jose::{KeySet, KeyUse, UnverifiedJws};

/// RFC 7515 A.2, A.3 and RFC 8037 A: keys that nobody here signs with.
const KEYS: &str = r#"{"keys":[
{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"},
{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fuzz_target!(|data: &[u8]| {
    let Ok(token) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(jws) = UnverifiedJws::parse(token) else {
        assert!(UnverifiedToken::parse(token).is_err());
        return;
    };
    // One signing input has one spelling.
    let (_, payload) = jws.signing_input().split_once('.').expect("two parts");
    assert_eq!(URL_SAFE_NO_PAD.encode(jws.payload()), payload);
    assert!(token.ends_with(&URL_SAFE_NO_PAD.encode(jws.signature())));
    if let Err(error) = UnverifiedToken::parse(token) {
        assert!(!matches!(error, TokenError::SignatureInvalid), "nothing was verified");
    }
    let keys = KeySet::parse(KEYS.as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software).expect("a key set");
    if let Ok(key) = keys.find(None, jws.algorithm()) {
        let verified = key.verify(jws.signing_input().as_bytes(), jws.signature());
        // The RFCs' own examples are in the seeds.
        assert!(
            verified.is_err()
                || jws.payload().starts_with(b"{\"iss\":\"joe\"")
                || jws.payload().starts_with(b"Example of Ed25519")
        );
    }
});
