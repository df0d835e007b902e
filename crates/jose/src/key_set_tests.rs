use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const RSA: &str = r#""kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ""#;
const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

/// A set of keys given as members.
fn set_of(keys: &[&str]) -> String {
    let keys: Vec<_> = keys.iter().map(|members| format!("{{{members}}}")).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn with_kid(key: &str, kid: &str) -> String {
    format!(r#"{key},"kid":"{kid}""#)
}

fn check(document: &str, expected: Result<usize, KeySetError>) {
    let shown = document.get(..200).unwrap_or(document);
    assert_eq!(
        KeySet::parse(document.as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software).map(|set| set.len()),
        expected,
        "{shown}"
    );
}

#[test]
fn keeps_usable_keys_and_names_the_others() {
    let document = set_of(&[
        &with_kid(RSA, "rsa"),
        &with_kid(P256, "p256"),
        ED25519,
        r#""kty":"EC","crv":"P-521","kid":"p521""#,
        &with_kid(&format!(r#"{RSA},"use":"enc""#), "enc"),
    ]);
    let set = KeySet::parse(document.as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software).unwrap();
    assert_eq!(set.len(), 3);
    let skipped = |kid: &str, reason| SkippedKey { kid: Some(kid.to_owned()), reason };
    assert_eq!(set.skipped(), [skipped("p521", KeyError::Curve), skipped("enc", KeyError::Purpose)]);
}

#[test]
fn rejects_documents_that_are_not_key_sets() {
    for (document, error) in [
        ("", KeySetError::Json(JsonError::Syntax)),
        ("<html></html>", KeySetError::Json(JsonError::Syntax)),
        ("[]", KeySetError::Json(JsonError::NotAnObject)),
        (r#"{"keys":[],"keys":[]}"#, KeySetError::Json(JsonError::DuplicateMember)),
        (r#"{"keys":[{"kid":"a","kid":"b"}]}"#, KeySetError::Json(JsonError::DuplicateMember)),
        ("{}", KeySetError::KeysMissing),
        (r#"{"keys":null}"#, KeySetError::KeysMissing),
        (r#"{"keys":{}}"#, KeySetError::KeysMissing),
        (r#"{"keys":[1]}"#, KeySetError::KeysMissing),
        (r#"{"keys":[[]]}"#, KeySetError::KeysMissing),
        (r#"{"keys":[{"kid":1}]}"#, KeySetError::Kid),
        (r#"{"keys":[{"kid":null}]}"#, KeySetError::Kid),
    ] {
        check(document, Err(error));
    }
    check(r#"{"keys":[]}"#, Ok(0));
    check(r#"{"keys":[{}]}"#, Ok(0));
}

/// A key set with a secret key is an accident or an attack, so none of it is used (Wycheproof JWK 1).
#[test]
fn rejects_sets_with_secret_keys() {
    for secret in [r#""kty":"oct","k":"AAAA""#, r#""kty":"oct""#] {
        check(&set_of(&[RSA, secret]), Err(KeySetError::SecretKey));
    }
    for member in SECRET_MEMBERS {
        check(&set_of(&[&format!(r#"{P256},"{member}":"AA""#)]), Err(KeySetError::SecretKey));
    }
}

/// Wycheproof JWK 4: otherwise the order would decide which of two keys verifies.
#[test]
fn rejects_sets_with_duplicate_kids() {
    check(&set_of(&[&with_kid(RSA, "a"), &with_kid(P256, "a")]), Err(KeySetError::DuplicateKid));
    check(
        &set_of(&[&with_kid(RSA, "a"), &with_kid(r#""kty":"EC","crv":"P-521""#, "a")]),
        Err(KeySetError::DuplicateKid),
    );
    check(&set_of(&[&with_kid(RSA, "a"), &with_kid(P256, "A"), ED25519, ED25519]), Ok(4));
}

#[test]
fn bounds_the_number_of_keys() {
    check(&set_of(&[ED25519; KEYS_MAX]), Ok(KEYS_MAX));
    check(&set_of(&[ED25519; KEYS_MAX + 1]), Err(KeySetError::TooManyKeys));
    check(&set_of(&["", "\"kty\":\"x\""].repeat(250)), Err(KeySetError::TooManyKeys));
}

#[test]
fn bounds_the_document() {
    let padded = |bytes: usize| format!("{}{}", r#"{"keys":[]}"#, " ".repeat(bytes - 11));
    check(&padded(KEY_SET_BYTES_MAX), Ok(0));
    check(&padded(KEY_SET_BYTES_MAX + 1), Err(KeySetError::TooLarge));
}

#[test]
fn bounds_key_ids() {
    check(&set_of(&[&with_kid(ED25519, &"k".repeat(KID_BYTES_MAX))]), Ok(1));
    check(&set_of(&[&with_kid(ED25519, &"k".repeat(KID_BYTES_MAX + 1))]), Err(KeySetError::Kid));
}

fn check_find(document: &str, kid: Option<&str>, algorithm: Algorithm, expected: Result<Algorithm, KeyLookupError>) {
    let set = KeySet::parse(document.as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software).unwrap();
    assert_eq!(set.find(kid, algorithm).map(PublicKey::algorithm), expected, "{kid:?} {algorithm}");
}

#[test]
fn finds_named_key_by_exact_name() {
    let document = set_of(&[&with_kid(RSA, "a"), &with_kid(r#""kty":"EC","crv":"P-521""#, "b"), ED25519]);
    check_find(&document, Some("a"), Algorithm::Rs256, Ok(Algorithm::Rs256));
    check_find(&document, Some("A"), Algorithm::Rs256, Err(KeyLookupError::Unknown));
    check_find(&document, Some("a "), Algorithm::Rs256, Err(KeyLookupError::Unknown));
    check_find(&document, Some(""), Algorithm::Rs256, Err(KeyLookupError::Unknown));
    check_find(&document, Some("../a"), Algorithm::Rs256, Err(KeyLookupError::Unknown));
    // The only Ed25519 key has no `kid`, so no `kid` finds it.
    check_find(&document, Some("c"), Algorithm::EdDsa, Err(KeyLookupError::Unknown));
    check_find(&document, Some("b"), Algorithm::Es256, Err(KeyLookupError::Unusable));
}

/// A `kid` of another key type never makes the key fit.
#[test]
fn rejects_a_named_key_of_another_algorithm() {
    let document = set_of(&[&with_kid(RSA, "rsa"), &with_kid(P256, "p256"), &with_kid(ED25519, "ed25519")]);
    for (kid, own) in [("rsa", Algorithm::Rs256), ("p256", Algorithm::Es256), ("ed25519", Algorithm::EdDsa)] {
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256] {
            let expected = if algorithm == own { Ok(own) } else { Err(KeyLookupError::Unusable) };
            check_find(&document, Some(kid), algorithm, expected);
        }
    }
}

#[test]
fn without_kid_uses_the_only_fitting_key() {
    let document = set_of(&[&with_kid(RSA, "a"), &with_kid(P256, "b"), P256]);
    check_find(&document, None, Algorithm::Rs256, Ok(Algorithm::Rs256));
    check_find(&document, None, Algorithm::Es256, Err(KeyLookupError::Unknown));
    check_find(&document, None, Algorithm::EdDsa, Err(KeyLookupError::Unknown));
}

/// Both sides of the bound. A longer key is skipped like any other unusable key.
#[test]
fn bounds_rsa_moduli_of_a_set() {
    // An odd number with this many bits and without small factors.
    let jwk = |bits: u32, kid: &str| {
        let mut n = vec![0xff_u8; bits.div_ceil(8) as usize];
        n[0] = 0xff >> ((8 - bits % 8) % 8);
        let usable = (1..=255_u8).step_by(2).find_map(|lowest| {
            *n.last_mut().unwrap() = lowest;
            let key = crate::rsa::require_strong(&n, &[1, 0, 1], 8192);
            key.is_ok().then(|| URL_SAFE_NO_PAD.encode(&n))
        });
        format!(r#""kty":"RSA","e":"AQAB","n":"{}","kid":"{kid}""#, usable.expect("a modulus"))
    };
    let document = set_of(&[&jwk(4096, "most"), &jwk(4097, "more"), &jwk(8192, "much")]);
    let set = KeySet::parse(document.as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software).unwrap();
    assert_eq!(set.len(), 1);
    let skipped = |kid: &str| SkippedKey { kid: Some(kid.to_owned()), reason: KeyError::RsaTooLong };
    assert_eq!(set.skipped(), [skipped("more"), skipped("much")]);
    assert!(set.find(Some("most"), Algorithm::Rs256).is_ok());
    assert_eq!(set.find(Some("more"), Algorithm::Rs256).map(drop), Err(KeyLookupError::Unusable));
}
