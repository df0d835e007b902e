use std::rc::Rc;

use serde_json::json;
use vouchsafe_jose::KeyUse;

use super::*;

fn keys_of(document: &Value) -> TrustedKeys {
    TrustedKeys::new(
        Rc::new(
            vouchsafe_jose::KeySet::parse(
                document.to_string().as_bytes(),
                KeyUse::Signature,
                &vouchsafe_crypto::Software,
            )
            .unwrap(),
        ),
        "test",
        NOW.plus(1),
    )
}

#[test]
fn rejects_modified_token_parts() {
    let token = mint(&testkit::claims());
    let mut parts = token.split('.').map(str::to_owned).collect::<Vec<_>>();
    parts[1] = testkit::base64url(claims_with("sub", Some("admin".into())).to_string());
    check("payload", &parts.join("."), Err(TokenError::SignatureInvalid));
    let (input, signature) = token.rsplit_once('.').unwrap();
    check(
        "shorter signature",
        &format!("{input}.{}", &signature[..signature.len() - 2]),
        Err(TokenError::SignatureInvalid),
    );
    check("longer signature", &format!("{input}.{signature}AAAA"), Err(TokenError::SignatureInvalid));
    let null = testkit::base64url([0; 256]);
    check("null signature", &format!("{input}.{null}"), Err(TokenError::SignatureInvalid));
}

#[test]
fn rejects_foreign_signatures_of_each_algorithm() {
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}"}}"#);
        let token = mint_raw(&TestKey::stranger(algorithm), &header, testkit::claims().to_string());
        check(algorithm, &token, Err(TokenError::SignatureInvalid));
    }
}

/// CVE-2018-0114: a key embedded in the token.
#[test]
fn rejects_token_signed_with_embedded_key() {
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        let key = TestKey::stranger(algorithm);
        let jwk = key.jwk("mine");
        let jku = "https://attacker.example/keys.json";
        for (header, expected) in [
            (json!({"alg": algorithm, "kid": algorithm, "jwk": jwk}), TokenError::SignatureInvalid),
            (json!({"alg": algorithm, "jwk": jwk}), TokenError::SignatureInvalid),
            (json!({"alg": algorithm, "kid": "mine", "jwk": jwk}), TokenError::KeyUnknown),
            (json!({"alg": algorithm, "kid": "mine", "jku": jku, "x5u": jku}), TokenError::KeyUnknown),
            (json!({"alg": algorithm, "kid": algorithm, "x5c": ["AAAA"]}), TokenError::SignatureInvalid),
        ] {
            check(
                &header.to_string(),
                &mint_raw(&key, &header.to_string(), testkit::claims().to_string()),
                Err(expected),
            );
        }
    }
}

/// A header parameter that names keys does not invalidate a signature by the issuer's own key.
#[test]
fn accepts_valid_token_with_jku_header() {
    let header = r#"{"alg":"RS256","kid":"RS256","jku":"https://issuer.example/keys","x5t":"AAAA"}"#;
    check("jku", &mint_raw(&TestKey::issuer("RS256"), header, testkit::claims().to_string()), Ok(()));
}

/// RS256 under the `kid` of an EC key, and vice versa (regressions.md, row 7).
#[test]
fn rejects_kid_of_another_key_type() {
    for (algorithm, kid) in [("RS256", "ES256"), ("ES256", "RS256"), ("EdDSA", "ES256"), ("ES256", "EdDSA")] {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
        let token = mint_raw(&TestKey::issuer(algorithm), &header, testkit::claims().to_string());
        check(&header, &token, Err(TokenError::KeyUnusable));
    }
}

#[test]
fn rejects_unknown_kids() {
    for kid in
        ["", "rs256", "RS256 ", "../RS256", "/dev/null", "RS256\\u0000", "' OR 1=1 --", "https://attacker.example"]
    {
        let header = format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
        check(
            kid,
            &mint_raw(&TestKey::issuer("RS256"), &header, testkit::claims().to_string()),
            Err(TokenError::KeyUnknown),
        );
    }
}

#[test]
fn requires_single_matching_key_without_kid() {
    let token = mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256"}"#, testkit::claims().to_string());
    check("one RSA key", &token, Ok(()));
    let two = json!({"keys": [TestKey::stranger("RS256").jwk("a"), TestKey::issuer("RS256").jwk("b")]});
    assert_eq!(verify(&token, &issuer(), &keys_of(&two), NOW), Err(TokenError::KeyUnknown));
}

#[test]
fn rejects_keys_with_another_use() {
    for (member, value) in [("use", json!("enc")), ("alg", json!("PS256")), ("key_ops", json!(["encrypt"]))] {
        let mut jwk = TestKey::issuer("RS256").jwk("RS256");
        jwk[member] = value;
        let outcome = verify(&mint(&testkit::claims()), &issuer(), &keys_of(&json!({"keys": [jwk]})), NOW);
        assert_eq!(outcome, Err(TokenError::KeyUnusable), "{member}");
    }
}

/// Keys that an issuer removed stop being trusted in time (regressions.md, row 2).
#[test]
fn rejects_keys_at_end_of_trust() {
    let set = || {
        Rc::new(
            vouchsafe_jose::KeySet::parse(
                testkit::key_set_document().as_bytes(),
                KeyUse::Signature,
                &vouchsafe_crypto::Software,
            )
            .unwrap(),
        )
    };
    let token = mint(&testkit::claims());
    for (until, expected) in
        [(NOW.plus(1), Ok(())), (NOW, Err(TokenError::KeyUnusable)), (UnixSeconds(0), Err(TokenError::KeyUnusable))]
    {
        let outcome = verify(&token, &issuer(), &TrustedKeys::new(set(), "test", until), NOW).map(|_| ());
        assert_eq!(outcome, expected, "{until}");
    }
}

#[test]
fn rejects_expired_pinned_keys() {
    for (expires, expected) in [(NOW.0 + 1, Ok(())), (NOW.0, Err(TokenError::KeyUnusable))] {
        let pinned = KeySource::Pinned(PinnedKeys { document: testkit::key_set_document(), expires });
        let issuer = TrustedIssuer::try_from(IssuerRecord { keys: pinned, ..testkit::issuer_record() }).unwrap();
        // The bundle's expiry applies, whatever trust the caller claims for the keys.
        let outcome = verify(&mint(&testkit::claims()), &issuer, &keys(), NOW).map(|_| ());
        assert_eq!(outcome, expected, "{expires}");
    }
}

/// No other spelling of a token verifies: flips each bit of a token of each algorithm, one at a time.
#[test]
fn rejects_token_with_any_flipped_bit() {
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}"}}"#);
        let token = mint_raw(&TestKey::issuer(algorithm), &header, testkit::claims().to_string());
        check(algorithm, &token, Ok(()));
        for at in 0..token.len() {
            for bit in 0..8 {
                let mut bytes = token.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                // Non-UTF-8 cannot occur in a form value, and never arrives here.
                let Ok(changed) = String::from_utf8(bytes) else {
                    continue;
                };
                let outcome = verify(&changed, &issuer(), &keys(), NOW);
                assert!(outcome.is_err(), "{algorithm}: byte {at}, bit {bit}");
            }
        }
    }
}

/// Any signature made with an issuer's key verifies, whatever the claims.
#[test]
fn verifies_anything_signed_by_issuer_keys() {
    for algorithm in ["RS256", "ES256", "ES384", "EdDSA"] {
        let key = TestKey::issuer(algorithm);
        for length in [0, 1, 31, 32, 63, 64, 65, 1000, 8000] {
            let mut claims = testkit::claims();
            claims["pad"] = "é".repeat(length / 2).into();
            claims["jti"] = format!("{algorithm}-{length}").into();
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{algorithm}"}}"#);
            check(algorithm, &mint_raw(&key, &header, claims.to_string()), Ok(()));
        }
    }
}
