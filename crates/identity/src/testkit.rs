//! Tokens, keys and issuers for this crate's tests, signed by a library other than the verifier.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use vouchsafe_jose::{KeySet, KeyUse};

use crate::issuer::TrustedIssuer;
use crate::trusted_keys::TrustedKeys;
use vouchsafe_types::{IssuerRecord, KeySource, ReplayMode, UnixSeconds};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const BROKER: &str = "https://broker.example";
pub(crate) const LEEWAY_SECONDS: u64 = 30;
pub(crate) const TOKEN_AGE_SECONDS: u64 = 600;

pub(crate) enum TestKey {
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Es384(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

fn pkcs8(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64.trim()).unwrap()
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl TestKey {
    fn rs256(base64: &str) -> Self {
        Self::Rs256(RsaKeyPair::from_pkcs8(&pkcs8(base64)).unwrap())
    }

    fn es256(base64: &str) -> Self {
        let random = SystemRandom::new();
        Self::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8(base64), &random).unwrap())
    }

    fn es384(base64: &str) -> Self {
        let random = SystemRandom::new();
        Self::Es384(EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8(base64), &random).unwrap())
    }

    fn eddsa(base64: &str) -> Self {
        Self::EdDsa(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8(base64)).unwrap())
    }

    /// The issuer's key for `alg`, which is its `kid` too.
    pub(crate) fn issuer(alg: &str) -> Self {
        match alg {
            "EdDSA" => Self::eddsa(include_str!("../testdata/eddsa-issuer.pkcs8.b64")),
            "ES256" => Self::es256(include_str!("../testdata/es256-issuer.pkcs8.b64")),
            "ES384" => Self::es384(include_str!("../testdata/es384-issuer.pkcs8.b64")),
            _ => Self::rs256(include_str!("../testdata/rs256-issuer.pkcs8.b64")),
        }
    }

    /// A key that no issuer publishes.
    pub(crate) fn stranger(alg: &str) -> Self {
        match alg {
            "EdDSA" => Self::eddsa(include_str!("../testdata/eddsa-stranger.pkcs8.b64")),
            "ES256" => Self::es256(include_str!("../testdata/es256-stranger.pkcs8.b64")),
            "ES384" => Self::es384(include_str!("../testdata/es384-stranger.pkcs8.b64")),
            _ => Self::rs256(include_str!("../testdata/rs256-stranger.pkcs8.b64")),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::EdDsa(key) => key.sign(message).as_ref().to_vec(),
            Self::Es256(key) | Self::Es384(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::EdDsa(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64url(key.public_key())})
            }
            Self::Es256(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
            }
            Self::Es384(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-384", "kid": kid, "x": base64url(&point[1..49]), "y": base64url(&point[49..])})
            }
            Self::Rs256(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "n": base64url(public.n), "e": base64url(public.e)})
            }
        }
    }
}

/// A token with exactly this header and payload.
pub(crate) fn mint_raw(key: &TestKey, header: &str, payload: impl AsRef<[u8]>) -> String {
    let signing_input = format!("{}.{}", base64url(header), base64url(payload));
    let signature = key.sign(signing_input.as_bytes());
    format!("{signing_input}.{}", base64url(signature))
}

/// An RS256 token from the issuer with these claims.
pub(crate) fn mint(claims: &Value) -> String {
    mint_raw(&TestKey::issuer("RS256"), r#"{"alg":"RS256","kid":"RS256","typ":"JWT"}"#, claims.to_string())
}

/// The claims of an acceptable token from a plain `oidc` issuer.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": BROKER, "sub": "workload", "jti": "token-1",
        "iat": NOW, "nbf": NOW, "exp": NOW + 300,
    })
}

/// The JWK Set of the issuer: one key for each algorithm, named after it.
pub(crate) fn key_set_document() -> String {
    let keys: Vec<_> = ["RS256", "ES256", "ES384", "EdDSA"].iter().map(|alg| TestKey::issuer(alg).jwk(alg)).collect();
    json!({ "keys": keys }).to_string()
}

pub(crate) fn keys() -> TrustedKeys {
    let set = KeySet::parse(key_set_document().as_bytes(), KeyUse::Signature, &vouchsafe_crypto::Software).unwrap();
    TrustedKeys::new(Rc::new(set), "test", UnixSeconds(NOW + 1))
}

/// A plain `oidc` issuer that allows every algorithm.
pub(crate) fn issuer_record() -> IssuerRecord {
    IssuerRecord {
        name: "idp".to_owned(),
        issuer: ISSUER.to_owned(),
        provider: "oidc".to_owned(),
        audiences: vec![BROKER.to_owned(), "https://other-name.example".to_owned()],
        algorithms: ["RS256", "ES256", "ES384", "EdDSA"].map(str::to_owned).to_vec(),
        keys: KeySource::Discovery,
        keys_max_age_seconds: 300,
        max_token_age_seconds: TOKEN_AGE_SECONDS,
        leeway_seconds: LEEWAY_SECONDS,
        claims: Vec::new(),
        require: Vec::new(),
        subject_template: None,
        allow_act: false,
        development: false,
        stale_keys_max_seconds: 0,
        replay: ReplayMode::Allow,
        authenticated: false,
    }
}

pub(crate) fn issuer() -> TrustedIssuer {
    TrustedIssuer::try_from(issuer_record()).unwrap()
}
