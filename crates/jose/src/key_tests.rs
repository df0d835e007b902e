use super::*;

const N_2048: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const X_P256: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y_P256: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const X_ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn check(jwk: &str, expected: Result<Algorithm, KeyError>) {
    let key = PublicKey::from_jwk(
        &JsonObject::parse(jwk.as_bytes()).unwrap(),
        KeyUse::Signature,
        &vouchsafe_crypto::Software,
    );
    assert_eq!(key.map(|key| key.algorithm()), expected, "{jwk}");
}

fn rsa(n: &str, e: &str, more: &str) -> String {
    format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"{more}}}"#)
}

fn p256(x: &str, y: &str, more: &str) -> String {
    format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"{more}}}"#)
}

fn ed25519(x: &str, more: &str) -> String {
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{more}}}"#)
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// An odd modulus of exactly `bits` bits that no small prime divides.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xff; bits.div_ceil(8)];
    bytes[0] = 0xff >> (bytes.len() * 8 - bits);
    let divided = |bytes: &[u8]| {
        (3..168_u32).any(|divisor| {
            let digits = bytes.iter().map(|byte| u32::from(*byte));
            digits.fold(0, |residue, digit| (residue * 256 + digit) % divisor) == 0
        })
    };
    while divided(&bytes) {
        let lowest = bytes.last_mut().unwrap();
        *lowest -= 2;
    }
    encode(&bytes)
}

#[test]
fn accepts_each_supported_key_type() {
    check(&rsa(N_2048, "AQAB", ""), Ok(Algorithm::Rs256));
    check(&p256(X_P256, Y_P256, ""), Ok(Algorithm::Es256));
    check(&ed25519(X_ED25519, ""), Ok(Algorithm::EdDsa));
}

#[test]
fn binds_each_key_to_the_algorithm_it_states() {
    check(&rsa(N_2048, "AQAB", r#","alg":"RS256""#), Ok(Algorithm::Rs256));
    for alg in [r#""PS256""#, r#""RS512""#, r#""HS256""#, r#""rs256""#, "null", "1"] {
        check(&rsa(N_2048, "AQAB", &format!(r#","alg":{alg}"#)), Err(KeyError::AlgorithmMismatch));
    }
    check(&p256(X_P256, Y_P256, r#","alg":"ES384""#), Err(KeyError::AlgorithmMismatch));
    check(&ed25519(X_ED25519, r#","alg":"ES256""#), Err(KeyError::AlgorithmMismatch));
}

#[test]
fn rejects_keys_that_are_not_for_signatures() {
    for (member, expected) in [
        (r#","use":"sig""#, Ok(Algorithm::Rs256)),
        (r#","use":"enc""#, Err(KeyError::Purpose)),
        (r#","use":null"#, Err(KeyError::Purpose)),
        (r#","use":["sig"]"#, Err(KeyError::Purpose)),
        (r#","key_ops":["verify"]"#, Ok(Algorithm::Rs256)),
        (r#","key_ops":["sign","verify"]"#, Ok(Algorithm::Rs256)),
        (r#","key_ops":[]"#, Err(KeyError::Purpose)),
        (r#","key_ops":["encrypt"]"#, Err(KeyError::Purpose)),
        (r#","key_ops":"verify""#, Err(KeyError::Purpose)),
    ] {
        check(&rsa(N_2048, "AQAB", member), expected);
    }
}

#[test]
fn bounds_the_rsa_modulus() {
    for (bits, expected) in [
        (1024, Err(KeyError::RsaModulus)),
        (2047, Err(KeyError::RsaModulus)),
        (2048, Ok(Algorithm::Rs256)),
        (2049, Ok(Algorithm::Rs256)),
        (8192, Ok(Algorithm::Rs256)),
        (8193, Err(KeyError::RsaModulus)),
        (65_536, Err(KeyError::RsaModulus)),
    ] {
        check(&rsa(&modulus(bits), "AQAB", ""), expected);
    }
    check(&rsa(&encode(&[0xfe; 256]), "AQAB", ""), Err(KeyError::RsaModulus));
}

#[test]
fn rejects_moduli_with_a_small_factor() {
    let primes: Vec<u32> = (3..168_u32).filter(|number| (2..*number).all(|divisor| number % divisor != 0)).collect();
    let (mut weak, mut taken) = (0, 0);
    for lowest in (1..=255_u8).step_by(2) {
        let mut bytes = [0xff; 256];
        bytes[255] = lowest;
        let residue = |prime: u32| {
            let digits = bytes.iter().map(|byte| u32::from(*byte));
            digits.fold(0, |residue, digit| (residue * 256 + digit) % prime)
        };
        let divided = primes.iter().any(|prime| residue(*prime) == 0);
        let expected = match divided {
            true => Err(KeyError::RsaWeak),
            false => Ok(Algorithm::Rs256),
        };
        check(&rsa(&encode(&bytes), "AQAB", ""), expected);
        *(if divided { &mut weak } else { &mut taken }) += 1;
    }
    assert!(weak > 90 && taken > 10, "{weak} {taken}");
}

/// CVE-2017-15361: such a modulus is a power of 65537 modulo many small primes.
#[test]
fn rejects_moduli_of_the_faulty_generator() {
    let mut power = vec![1_u64];
    for _ in 0..128 {
        let mut carry = 0;
        for digit in power.iter_mut() {
            carry += *digit * 65_537;
            *digit = carry & 0xff;
            carry >>= 8;
        }
        while carry > 0 {
            power.push(carry & 0xff);
            carry >>= 8;
        }
    }
    let bytes = |number: &[u64]| number.iter().rev().map(|digit| digit.to_le_bytes()[0]).collect::<Vec<_>>();
    check(&rsa(&encode(&bytes(&power)), "AQAB", ""), Err(KeyError::RsaWeak));
    // Its neighbors are not, except for those with a small factor.
    let taken = [2, 4, 6, 8, 16, 32, 64, 128].into_iter().filter(|change| {
        power[0] ^= change;
        let jwk = rsa(&encode(&bytes(&power)), "AQAB", "");
        power[0] ^= change;
        let jwk = JsonObject::parse(jwk.as_bytes()).unwrap();
        PublicKey::from_jwk(&jwk, KeyUse::Signature, &vouchsafe_crypto::Software).is_ok()
    });
    assert!(taken.count() > 0);
}

#[test]
fn bounds_the_rsa_exponent() {
    for (exponent, expected) in [
        (&[1][..], Err(KeyError::RsaExponent)),
        (&[2], Err(KeyError::RsaExponent)),
        (&[3], Ok(Algorithm::Rs256)),
        (&[4], Err(KeyError::RsaExponent)),
        (&[1, 0, 1], Ok(Algorithm::Rs256)),
        (&[0xff, 0xff, 0xff, 0xff], Ok(Algorithm::Rs256)),
        (&[1, 0, 0, 0, 1], Err(KeyError::RsaExponent)),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 1], Err(KeyError::RsaExponent)),
    ] {
        check(&rsa(N_2048, &encode(exponent), ""), expected);
    }
}

#[test]
fn rejects_numbers_that_are_not_canonical() {
    let padded_n = encode(&[&[0][..], &base64url::decode(N_2048).unwrap()].concat());
    for (n, e) in
        [(padded_n.as_str(), "AQAB"), (N_2048, "AAEAAQ"), ("", "AQAB"), (N_2048, ""), (N_2048, "AQAB="), (N_2048, "A")]
    {
        check(&rsa(n, e, ""), Err(KeyError::Malformed));
    }
    check(r#"{"kty":"RSA","n":1,"e":"AQAB"}"#, Err(KeyError::Malformed));
    check(r#"{"kty":"RSA","e":"AQAB"}"#, Err(KeyError::Malformed));
}

#[test]
fn rejects_points_that_are_not_on_the_curve() {
    check(&p256(X_P256, X_P256, ""), Err(KeyError::Point));
    check(&p256(&encode(&[0; 32]), &encode(&[0; 32]), ""), Err(KeyError::Point));
    check(&p256(&encode(&[0xff; 32]), Y_P256, ""), Err(KeyError::Point));
    check(&p256(&encode(&[1; 31]), Y_P256, ""), Err(KeyError::Malformed));
    check(&p256(&encode(&[1; 33]), Y_P256, ""), Err(KeyError::Malformed));
    check(&ed25519(&encode(&[1; 31]), ""), Err(KeyError::Malformed));
    // The neutral element: any signature would verify under some message.
    check(&ed25519(&encode(&[&[1][..], &[0; 31]].concat()), ""), Err(KeyError::Point));
    check(&ed25519(&encode(&[&[2][..], &[0; 31]].concat()), ""), Err(KeyError::Point));
}

/// RFC 8032 §5.1.3: y is less than 2^255 − 19, so that a key has one spelling.
#[test]
fn rejects_noncanonical_ed25519_keys() {
    for (lowest, highest) in [(0xed, 0x7f), (0xff, 0x7f), (0xff, 0xff), (0xf0, 0xff)] {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (lowest, highest);
        check(&ed25519(&encode(&point), ""), Err(KeyError::Point));
    }
    // The largest canonical y of a point on the curve.
    let mut point = [0xff; 32];
    (point[0], point[31]) = (0xe6, 0x7f);
    let largest = (0xd0..=0xec_u8).rev().find(|lowest| {
        point[0] = *lowest;
        ed25519_dalek::VerifyingKey::from_bytes(&point).is_ok_and(|key| !key.is_weak())
    });
    point[0] = largest.unwrap();
    check(&ed25519(&encode(&point), ""), Ok(Algorithm::EdDsa));
}

#[test]
fn rejects_unknown_key_types_and_curves() {
    check(r#"{"kty":"AKP","pub":"AA"}"#, Err(KeyError::KeyType));
    check(r#"{"kty":"rsa"}"#, Err(KeyError::KeyType));
    check("{}", Err(KeyError::Malformed));
    for curve in ["P-192", "P-521", "secp256k1", "p-256"] {
        check(&format!(r#"{{"kty":"EC","crv":"{curve}","x":"AA","y":"AA"}}"#), Err(KeyError::Curve));
    }
    for curve in ["X25519", "Ed448"] {
        check(&format!(r#"{{"kty":"OKP","crv":"{curve}","x":"AA"}}"#), Err(KeyError::Curve));
    }
}

/// CVE-2022-21449 ("psychic signatures"), DER instead of `r ‖ s`, and wrong lengths.
#[test]
fn rejects_signatures_of_the_wrong_form() {
    let p256 = PublicKey::from_jwk(
        &JsonObject::parse(p256(X_P256, Y_P256, "").as_bytes()).unwrap(),
        KeyUse::Signature,
        &vouchsafe_crypto::Software,
    )
    .unwrap();
    for signature in [&[0; 64][..], &[], &[1; 63], &[1; 65], &[0xff; 64], &[0x30, 6, 2, 1, 0, 2, 1, 0]] {
        assert_eq!(p256.verify(b"message", signature), Err(SignatureError));
    }
    let rsa = PublicKey::from_jwk(
        &JsonObject::parse(rsa(N_2048, "AQAB", "").as_bytes()).unwrap(),
        KeyUse::Signature,
        &vouchsafe_crypto::Software,
    )
    .unwrap();
    for signature in [&[0; 256][..], &[], &[1; 255], &[1; 257], &[0xff; 256]] {
        assert_eq!(rsa.verify(b"message", signature), Err(SignatureError));
    }
    let ed25519 = PublicKey::from_jwk(
        &JsonObject::parse(ed25519(X_ED25519, "").as_bytes()).unwrap(),
        KeyUse::Signature,
        &vouchsafe_crypto::Software,
    )
    .unwrap();
    for signature in [&[0; 64][..], &[], &[0; 63], &[0; 65], &[0xff; 64]] {
        assert_eq!(ed25519.verify(b"message", signature), Err(SignatureError));
    }
}

const X_P384: &str = "kDQtH8psbbPm3s7zYmSsva5Pt0FYfi3sA5phoNLRdezDpvevvE6jV-BXcNGJsE3v";
const Y_P384: &str = "z7YlRWdo9HKIy9biPL7zgOEsBRxKTUI5tWpYRBmW1tD6m0sRxLZGUdIcya39gxzJ";

#[test]
fn accepts_p384_keys_for_es384_only() {
    let p384 = |x: &str, y: &str, more: &str| format!(r#"{{"kty":"EC","crv":"P-384","x":"{x}","y":"{y}"{more}}}"#);
    check(&p384(X_P384, Y_P384, ""), Ok(Algorithm::Es384));
    check(&p384(X_P384, Y_P384, r#","alg":"ES384""#), Ok(Algorithm::Es384));
    for alg in ["ES256", "ES512", "RS256"] {
        let more = format!(r#","alg":"{alg}""#);
        check(&p384(X_P384, Y_P384, &more), Err(KeyError::AlgorithmMismatch));
    }
    check(&p384(X_P384, X_P384, ""), Err(KeyError::Point));
    check(&p384(X_P256, Y_P256, ""), Err(KeyError::Malformed));
    check(&p256(X_P384, Y_P384, ""), Err(KeyError::Malformed));
}

/// SPIFFE JWT-SVID §4: a bundle contains keys for other purposes too, and marks JWT authorities.
#[test]
fn accepts_named_jwt_svid_keys() {
    let of = |more: &str| {
        let jwk = p256(X_P256, Y_P256, more);
        let jwk = JsonObject::parse(jwk.as_bytes()).unwrap();
        PublicKey::from_jwk(&jwk, KeyUse::JwtSvid, &vouchsafe_crypto::Software).map(|key| key.algorithm())
    };
    assert_eq!(of(r#","use":"jwt-svid","kid":"a""#), Ok(Algorithm::Es256));
    assert_eq!(of(r#","use":"jwt-svid""#), Err(KeyError::KidMissing));
    for other in [
        r#","kid":"a""#,
        r#","use":"sig","kid":"a""#,
        r#","use":"x509-svid","kid":"a""#,
        r#","use":"wit-svid","kid":"a""#,
        r#","use":"JWT-SVID","kid":"a""#,
        r#","use":null,"kid":"a""#,
    ] {
        assert_eq!(of(other), Err(KeyError::Purpose), "{other}");
    }
    check(&p256(X_P256, Y_P256, r#","use":"jwt-svid","kid":"a""#), Err(KeyError::Purpose));
}
