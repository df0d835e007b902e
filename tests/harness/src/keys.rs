//! Signing and verifying with `ring`, which no component uses.
//!
//! The private keys are those of `crates/identity/testdata`: published, and trusted by nobody.

use crate::jwt::{base64url, from_base64url};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ED25519,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    UnparsedPublicKey,
};
use serde_json::{Value, json};

macro_rules! test_key {
    ($name:literal) => {
        include_str!(concat!("../../../crates/identity/testdata/", $name, ".pkcs8.b64"))
    };
}

/// A key that signs subject tokens.
pub enum Key {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

fn pkcs8(text: &str) -> Vec<u8> {
    STANDARD.decode(text.trim()).expect("base64")
}

impl Key {
    /// The issuers' key for `alg`, published with `alg` as its `kid`.
    pub fn issuer(alg: &str) -> Self {
        match alg {
            "EdDSA" => Self::eddsa(test_key!("eddsa-issuer")),
            "ES256" => Self::es256(test_key!("es256-issuer")),
            "ES384" => Self::es384(test_key!("es384-issuer")),
            "RS256" => Self::rs256(test_key!("rs256-issuer")),
            other => panic!("no test key for {other}"),
        }
    }

    /// A key that nobody publishes.
    pub fn stranger(alg: &str) -> Self {
        match alg {
            "EdDSA" => Self::eddsa(test_key!("eddsa-stranger")),
            "ES256" => Self::es256(test_key!("es256-stranger")),
            "ES384" => Self::es384(test_key!("es384-stranger")),
            "RS256" => Self::rs256(test_key!("rs256-stranger")),
            other => panic!("no test key for {other}"),
        }
    }

    fn rs256(text: &str) -> Self {
        Self::Rs256(RsaKeyPair::from_pkcs8(&pkcs8(text)).expect("a key"))
    }

    fn es256(text: &str) -> Self {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8(text), &SystemRandom::new());
        Self::Es256(key.expect("a key"))
    }

    fn es384(text: &str) -> Self {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8(text), &SystemRandom::new());
        Self::Es384(key.expect("a key"))
    }

    fn eddsa(text: &str) -> Self {
        Self::EdDsa(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8(text)).expect("a key"))
    }

    pub fn alg(&self) -> &'static str {
        match self {
            Self::EdDsa(_) => "EdDSA",
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::Rs256(_) => "RS256",
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Self::Es256(key) | Self::Es384(key) => key.sign(&random, message).expect("signs").as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("signs");
                signature
            }
        }
    }

    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::EdDsa(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": base64url(key.public_key())})
            }
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
                       "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
            }
            Self::Es384(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-384", "kid": kid, "use": "sig",
                       "x": base64url(&point[1..49]), "y": base64url(&point[49..])})
            }
            Self::Rs256(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
                       "n": base64url(public.n), "e": base64url(public.e)})
            }
        }
    }

    /// The public key in every encoding that a confused verifier might use as a MAC key.
    pub fn public_encodings(&self, kid: &str) -> Vec<(&'static str, Vec<u8>)> {
        let raw = match self {
            Self::EdDsa(key) => key.public_key().as_ref().to_vec(),
            Self::Es256(key) | Self::Es384(key) => key.public_key().as_ref().to_vec(),
            Self::Rs256(key) => key.public().as_ref().to_vec(),
        };
        let pem = |label: &str, der: &[u8]| {
            let lines: Vec<_> = STANDARD.encode(der).into_bytes().chunks(64).map(|line| line.to_vec()).collect();
            let body = String::from_utf8_lossy(&lines.join(&b'\n')).into_owned();
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
        };
        let mut encodings =
            vec![("JWK", self.jwk(kid).to_string().into_bytes()), ("raw", raw.clone()), ("empty", Vec::new())];
        if let Self::Rs256(key) = self {
            let spki = spki_of_rsa(&raw);
            encodings.extend([
                ("SPKI PEM", pem("PUBLIC KEY", &spki)),
                ("SPKI PEM, trimmed", pem("PUBLIC KEY", &spki).trim_ascii().to_vec()),
                ("PKCS #1 PEM", pem("RSA PUBLIC KEY", &raw)),
                ("SPKI DER", spki),
                ("modulus", PublicKeyComponents::<Vec<u8>>::from(key.public()).n),
            ]);
        }
        encodings
    }
}

/// RFC 3279 §2.3.1: rsaEncryption with NULL parameters around the PKCS #1 key.
fn spki_of_rsa(pkcs1: &[u8]) -> Vec<u8> {
    const ALGORITHM: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
    let element = |tag: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).expect("short").to_be_bytes();
        [&[tag, 0x82][..], &length, content].concat()
    };
    let bits = element(3, &[&[0][..], pkcs1].concat());
    element(0x30, &[&ALGORITHM[..], &bits].concat())
}

/// Whether the JWK `kid` of `jwks` verifies `signature` over `signing_input`.
pub fn verifies(jwks: &Value, kid: &str, signing_input: &str, signature: &[u8]) -> bool {
    let keys = jwks["keys"].as_array().expect("a JWK Set");
    let Some(jwk) = keys.iter().find(|jwk| jwk["kid"] == kid) else {
        return false;
    };
    let member = |name: &str| from_base64url(jwk[name].as_str().expect("a member")).expect("base64url");
    let (algorithm, public): (&dyn signature::VerificationAlgorithm, _) = match jwk["kty"].as_str() {
        Some("EC") => (&ECDSA_P256_SHA256_FIXED, [vec![4], member("x"), member("y")].concat()),
        Some("OKP") => (&ED25519, member("x")),
        Some("RSA") => {
            let key = PublicKeyComponents { n: member("n"), e: member("e") };
            return key.verify(&RSA_PKCS1_2048_8192_SHA256, signing_input.as_bytes(), signature).is_ok();
        }
        other => panic!("unexpected key type {other:?} of an issued token"),
    };
    UnparsedPublicKey::new(algorithm, public).verify(signing_input.as_bytes(), signature).is_ok()
}
