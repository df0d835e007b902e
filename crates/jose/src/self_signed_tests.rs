use super::*;
use crate::algorithm::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vouchsafe_crypto::{ENTROPY_BYTES, Entropy, Native, PrivateNumbers, SigningKey, Software};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key, its algorithm and its public JWK.
fn keys() -> [(Box<dyn SigningKey>, Algorithm, String); 2] {
    let p256 = Software.signing_key(PrivateNumbers::P256(&[7; 32])).unwrap();
    let (x, y) = p256.public_key()[1..].split_at(32);
    let ec = format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, encode(x), encode(y));
    let ed25519 = Software.signing_key(PrivateNumbers::Ed25519(&[7; 32])).unwrap();
    let okp = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, encode(ed25519.public_key()));
    [(p256, Algorithm::Es256, ec), (ed25519, Algorithm::EdDsa, okp)]
}

fn signed(key: &dyn SigningKey, header: &str) -> String {
    let input = format!("{}.{}", encode(header), encode("{}"));
    let signature = key.sign(input.as_bytes(), &Entropy::from_bytes([1; ENTROPY_BYTES])).unwrap();
    format!("{input}.{}", encode(signature))
}

fn verify(token: &str) -> Result<String, SelfSignedError> {
    let verified = [&Software as &dyn Crypto, &Native].map(|crypto| {
        let jws = SelfSignedJws::verify(token, "proof", crypto)?;
        assert_eq!(jws.payload(), b"{}");
        Ok(jws.thumbprint().to_owned())
    });
    assert_eq!(verified[0], verified[1], "both adapters agree");
    verified[0].clone()
}

#[test]
fn verifies_with_the_key_in_the_header() {
    let thumbprints = keys().map(|(key, algorithm, jwk)| {
        verify(&signed(&*key, &format!(r#"{{"alg":"{algorithm}","typ":"proof","jwk":{jwk}}}"#))).unwrap()
    });
    assert_eq!(thumbprints.each_ref().map(String::len), [43, 43]);
    assert_ne!(thumbprints[0], thumbprints[1]);
}

#[test]
fn rejects_keys_that_prove_nothing() {
    let [(p256, _, ec), (ed25519, _, okp)] = keys();
    let secret = ec.replacen('{', r#"{"d":"","#, 1);
    for (key, alg, jwk, expected) in [
        (&p256, "ES256", okp.as_str(), SelfSignedError::AlgorithmMismatch),
        (&ed25519, "EdDSA", &ec, SelfSignedError::AlgorithmMismatch),
        (&ed25519, "ES256", &ec, SelfSignedError::Signature(SignatureError)),
        (&p256, "ES256", &secret, SelfSignedError::KeySecret),
        (&p256, "ES256", r#"{"kty":"oct","k":"AA"}"#, SelfSignedError::KeySecret),
        (&p256, "ES256", "{}", SelfSignedError::Key(KeyError::Malformed)),
        (&p256, "ES256", "null", SelfSignedError::KeyMissing),
        (&p256, "ES256", r#"["x"]"#, SelfSignedError::KeyMissing),
    ] {
        let header = format!(r#"{{"alg":"{alg}","typ":"proof","jwk":{jwk}}}"#);
        assert_eq!(verify(&signed(&**key, &header)), Err(expected), "{header}");
    }
}

#[test]
fn requires_exactly_the_type() {
    let [(key, _, jwk), _] = keys();
    for typ in [r#","typ":"Proof""#, r#","typ":"JWT""#, ""] {
        let header = format!(r#"{{"alg":"ES256","jwk":{jwk}{typ}}}"#);
        assert_eq!(verify(&signed(&*key, &header)), Err(SelfSignedError::Type), "{typ}");
    }
    assert_eq!(verify("x"), Err(SelfSignedError::Jws(crate::jws::Malformed::Framing.into())));
}

/// The cost of a verification grows with the square of the modulus, which the sender chooses.
#[test]
fn bounds_the_rsa_modulus_of_a_sender() {
    let odd = |bits: u32| {
        let mut modulus = vec![0xff; bits as usize / 8];
        *modulus.last_mut().unwrap() = 0xfd;
        encode(modulus)
    };
    let too_long = format!(
        r#"{{"alg":"RS256","typ":"proof","jwk":{{"kty":"RSA","e":"AQAB","n":"{}"}}}}"#,
        odd(KEY_SET_RSA_BITS_MAX + 8)
    );
    let token = format!("{}.{}.{}", encode(too_long), encode("{}"), encode([0; 64]));
    assert_eq!(verify(&token), Err(SelfSignedError::Key(KeyError::RsaTooLong)));
}
