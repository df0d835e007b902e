//! The dev issuer's keys: one per algorithm, generated at start and at each rotation.

use crate::client::base64url::{decode, encode};
use anyhow::{Context, Result, anyhow};
use getrandom::{SysRng, rand_core::UnwrapErr};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rsa::pkcs1::EncodeRsaPrivateKey;
use serde_json::{Map, Value, json};

const RSA_BITS: usize = 2048;

/// A signature algorithm that the dev issuer offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    #[value(name = "EdDSA")]
    EdDsa,
    #[value(name = "ES256")]
    Es256,
    #[value(name = "RS256")]
    Rs256,
}

impl Algorithm {
    pub const ALL: [Self; 3] = [Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name in a JWS header (RFC 7518 §3.1, RFC 8037 §3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

enum Private {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// One signing key with its public JWK.
struct Key {
    private: Private,
    /// The private key as [`Key::from_der`] takes it.
    der: Vec<u8>,
    kid: String,
    jwk: Value,
}

impl Key {
    fn generate(algorithm: Algorithm) -> Result<Self> {
        Self::from_der(algorithm, generate_der(algorithm)?)
    }

    fn from_der(algorithm: Algorithm, der: Vec<u8>) -> Result<Self> {
        let (private, members) = match algorithm {
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| generation_failed())?;
                let jwk = json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref()) });
                (Private::Ed25519(pair), jwk)
            }
            Algorithm::Es256 => {
                let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair =
                    EcdsaKeyPair::from_pkcs8(scheme, &der, &SystemRandom::new()).map_err(|_| generation_failed())?;
                // The uncompressed point of SEC 1 §2.3.3: 4, then x and y of 32 bytes each.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let jwk = json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) });
                (Private::Ecdsa(pair), jwk)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_der(&der).map_err(|_| generation_failed())?;
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let jwk = json!({ "e": encode(&public.e), "kty": "RSA", "n": encode(&public.n) });
                (Private::Rsa(pair), jwk)
            }
        };
        Ok(Self::publish(algorithm, private, der, members))
    }

    /// Names the key by the thumbprint of its required members (RFC 7638 §3).
    ///
    /// INVARIANT: `members` contains exactly those, in lexical order.
    fn publish(algorithm: Algorithm, private: Private, der: Vec<u8>, members: Value) -> Self {
        let kid = encode(digest(&SHA256, members.to_string().as_bytes()).as_ref());
        let mut jwk = members;
        jwk["alg"] = algorithm.name().into();
        jwk["kid"] = kid.as_str().into();
        jwk["use"] = "sig".into();
        Self { private, der, kid, jwk }
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Ecdsa(pair) => {
                Ok(pair.sign(&random, input).map_err(|_| anyhow!("ECDSA failed"))?.as_ref().to_vec())
            }
            Private::Ed25519(pair) => Ok(pair.sign(input).as_ref().to_vec()),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature).map_err(|_| anyhow!("RSA failed"))?;
                Ok(signature)
            }
        }
    }
}

fn generation_failed() -> anyhow::Error {
    anyhow!("key generation failed")
}

/// Generates a private key: PKCS #8, or PKCS #1 for RSA, which `rsa` generates because `ring` can't.
fn generate_der(algorithm: Algorithm) -> Result<Vec<u8>> {
    let random = SystemRandom::new();
    let document = match algorithm {
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        Algorithm::Rs256 => {
            let key = rsa::RsaPrivateKey::new(&mut UnwrapErr(SysRng), RSA_BITS)?;
            return Ok(key.to_pkcs1_der()?.as_bytes().to_vec());
        }
    };
    Ok(document.map_err(|_| generation_failed())?.as_ref().to_vec())
}

/// A key for each algorithm.
pub struct KeySet([Key; 3]);

impl KeySet {
    pub fn generate() -> Result<Self> {
        let [first, second, third] = Algorithm::ALL;
        Ok(Self([Key::generate(first)?, Key::generate(second)?, Key::generate(third)?]))
    }

    /// Exports the private keys as text, in the order of [`Algorithm::ALL`].
    fn export(&self) -> Value {
        self.0.iter().map(|key| encode(&key.der)).collect::<Vec<_>>().into()
    }

    fn import(texts: &Value) -> Result<Self> {
        let key = |index: usize| {
            let der = texts[index].as_str().and_then(decode).with_context(|| "a key is missing")?;
            Key::from_der(Algorithm::ALL[index], der)
        };
        Ok(Self([key(0)?, key(1)?, key(2)?]))
    }

    fn key(&self, algorithm: Algorithm) -> Result<&Key> {
        self.0.iter().find(|key| key.jwk["alg"] == algorithm.name()).context("no key for this algorithm")
    }
}

/// The current keys, and the previous ones that are still published.
pub struct KeyRing {
    current: KeySet,
    previous: Option<KeySet>,
}

impl KeyRing {
    pub fn new(current: KeySet) -> Self {
        Self { current, previous: None }
    }

    /// Signs with `next` from now on. The previous keys stay published unless `remove` is set.
    pub fn rotate(&mut self, next: KeySet, remove: bool) {
        let old = std::mem::replace(&mut self.current, next);
        self.previous = (!remove).then_some(old);
    }

    /// Exports the keys for [`KeyRing::import`], including private keys.
    pub fn export(&self) -> Value {
        json!({ "current": self.current.export(), "previous": self.previous.as_ref().map(KeySet::export) })
    }

    pub fn import(text: &Value) -> Result<Self> {
        let previous = Some(&text["previous"]).filter(|keys| !keys.is_null());
        let previous = previous.map(KeySet::import).transpose()?;
        Ok(Self { current: KeySet::import(&text["current"])?, previous })
    }

    /// The JWK Set (RFC 7517 §5), current keys first.
    pub fn jwks(&self) -> Value {
        let sets = std::iter::once(&self.current).chain(&self.previous);
        json!({ "keys": sets.flat_map(|set| &set.0).map(|key| &key.jwk).collect::<Vec<_>>() })
    }

    /// Signs the claims as a compact JWS (RFC 7515 §7.1).
    pub fn sign(&self, algorithm: Algorithm, claims: &Map<String, Value>) -> Result<String> {
        let key = self.current.key(algorithm)?;
        let header = json!({ "alg": algorithm.name(), "kid": key.kid, "typ": "JWT" });
        let input = format!("{}.{}", encode(header.to_string().as_bytes()), encode(&serde_json::to_vec(claims)?));
        let signature = key.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", encode(&signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::token::corrupt_signature;
    use vouchsafe_verifier::{Check, Keys, verify_signature};

    fn verify(token: &str, jwks: &Value) -> Result<(), Check> {
        Keys::parse(jwks.to_string().as_bytes())
            .and_then(|keys| verify_signature(token, &keys))
            .map_err(|error| error.check)
    }

    #[test]
    fn published_keys_verify_each_algorithm() {
        let ring = KeyRing::new(KeySet::generate().unwrap());
        for algorithm in Algorithm::ALL {
            let token = ring.sign(algorithm, &Map::new()).unwrap();
            assert_eq!(verify(&token, &ring.jwks()), Ok(()), "{algorithm:?}");
            let corrupted = corrupt_signature(&token).unwrap();
            assert_eq!(verify(&corrupted, &ring.jwks()), Err(Check::Signature));
        }
    }

    #[test]
    fn imported_keys_sign_and_publish_as_before() {
        let mut ring = KeyRing::new(KeySet::generate().unwrap());
        ring.rotate(KeySet::generate().unwrap(), false);
        let imported = KeyRing::import(&ring.export()).unwrap();
        assert_eq!(imported.jwks(), ring.jwks());
        let token = imported.sign(Algorithm::Rs256, &Map::new()).unwrap();
        assert_eq!(verify(&token, &ring.jwks()), Ok(()));
        let missing = KeyRing::import(&json!({ "current": ["x"] })).err().unwrap();
        assert_eq!(missing.to_string(), "a key is missing");
    }

    #[test]
    fn rotated_keys_stay_published_once_unless_removed() {
        let mut ring = KeyRing::new(KeySet::generate().unwrap());
        let old = ring.sign(Algorithm::EdDsa, &Map::new()).unwrap();
        ring.rotate(KeySet::generate().unwrap(), false);
        assert_eq!(verify(&old, &ring.jwks()), Ok(()));
        let newer = ring.sign(Algorithm::EdDsa, &Map::new()).unwrap();
        ring.rotate(KeySet::generate().unwrap(), true);
        assert_eq!(verify(&old, &ring.jwks()), Err(Check::Key));
        assert_eq!(verify(&newer, &ring.jwks()), Err(Check::Key));
    }
}
