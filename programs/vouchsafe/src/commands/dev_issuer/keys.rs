//! The dev issuer's keys: one per algorithm, made at start and at each rotation.

use crate::client::{decode, encode};
use anyhow::{Context, Result, anyhow};
use getrandom::{SysRng, rand_core::UnwrapErr};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
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
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
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
    /// What [`Key::from_der`] makes the same key of.
    der: Vec<u8>,
    kid: String,
    jwk: Value,
}

impl Key {
    fn generate(algorithm: Algorithm) -> Result<Self> {
        Self::from_der(algorithm, new_der(algorithm)?)
    }

    fn from_der(algorithm: Algorithm, der: Vec<u8>) -> Result<Self> {
        let (private, members) = match algorithm {
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(&der).map_err(|_| no_key())?;
                let jwk = json!({ "crv": "Ed25519", "kty": "OKP", "x": encode(pair.public_key().as_ref()) });
                (Private::Ed25519(pair), jwk)
            }
            Algorithm::Es256 => {
                let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair = EcdsaKeyPair::from_pkcs8(scheme, &der, &SystemRandom::new())
                    .map_err(|_| no_key())?;
                // The uncompressed point of SEC 1 §2.3.3: 4, then x and y of 32 bytes each.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let jwk = json!({ "crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y) });
                (Private::Ecdsa(pair), jwk)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_der(&der).map_err(|_| no_key())?;
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let jwk = json!({ "e": encode(&public.e), "kty": "RSA", "n": encode(&public.n) });
                (Private::Rsa(pair), jwk)
            }
        };
        Ok(Self::publish(algorithm, private, der, members))
    }

    /// Names the key by the thumbprint of its required members (RFC 7638 §3).
    ///
    /// INVARIANT: `members` holds exactly those, written down in lexical order.
    fn publish(algorithm: Algorithm, private: Private, der: Vec<u8>, members: Value) -> Self {
        let kid = encode(digest(&SHA256, members.to_string().as_bytes()).as_ref());
        let mut jwk = members;
        jwk["alg"] = algorithm.name().into();
        jwk["kid"] = kid.as_str().into();
        jwk["use"] = "sig".into();
        Self {
            private,
            der,
            kid,
            jwk,
        }
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Ecdsa(pair) => Ok(pair
                .sign(&random, input)
                .map_err(|_| anyhow!("ECDSA failed"))?
                .as_ref()
                .to_vec()),
            Private::Ed25519(pair) => Ok(pair.sign(input).as_ref().to_vec()),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature)
                    .map_err(|_| anyhow!("RSA failed"))?;
                Ok(signature)
            }
        }
    }
}

fn no_key() -> anyhow::Error {
    anyhow!("could not make a key")
}

/// A new private key: PKCS #8, or PKCS #1 for RSA, whose keys `rsa` makes because `ring` makes none.
fn new_der(algorithm: Algorithm) -> Result<Vec<u8>> {
    let random = SystemRandom::new();
    let document = match algorithm {
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
        Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        Algorithm::Rs256 => {
            let key = rsa::RsaPrivateKey::new(&mut UnwrapErr(SysRng), RSA_BITS)?;
            return Ok(key.to_pkcs1_der()?.as_bytes().to_vec());
        }
    };
    Ok(document.map_err(|_| no_key())?.as_ref().to_vec())
}

/// A key for each algorithm.
pub struct KeySet([Key; 3]);

impl KeySet {
    pub fn generate() -> Result<Self> {
        let [first, second, third] = Algorithm::ALL;
        Ok(Self([
            Key::generate(first)?,
            Key::generate(second)?,
            Key::generate(third)?,
        ]))
    }

    /// The private keys as text, in the order of [`Algorithm::ALL`].
    fn export(&self) -> Value {
        self.0
            .iter()
            .map(|key| encode(&key.der))
            .collect::<Vec<_>>()
            .into()
    }

    fn import(texts: &Value) -> Result<Self> {
        let key = |index: usize| {
            let der = texts[index]
                .as_str()
                .and_then(decode)
                .with_context(|| "a key is missing")?;
            Key::from_der(Algorithm::ALL[index], der)
        };
        Ok(Self([key(0)?, key(1)?, key(2)?]))
    }

    fn key(&self, algorithm: Algorithm) -> Result<&Key> {
        self.0
            .iter()
            .find(|key| key.jwk["alg"] == algorithm.name())
            .context("every algorithm has a key")
    }
}

/// The keys that sign now and those that are still published.
pub struct KeyRing {
    current: KeySet,
    previous: Option<KeySet>,
}

impl KeyRing {
    pub fn new(current: KeySet) -> Self {
        Self {
            current,
            previous: None,
        }
    }

    /// Signs with `next` from now on; what signed until now stays published unless `remove`.
    pub fn rotate(&mut self, next: KeySet, remove: bool) {
        let old = std::mem::replace(&mut self.current, next);
        self.previous = (!remove).then_some(old);
    }

    /// Everything that [`KeyRing::import`] needs, private keys included.
    pub fn export(&self) -> Value {
        json!({ "current": self.current.export(), "previous": self.previous.as_ref().map(KeySet::export) })
    }

    pub fn import(text: &Value) -> Result<Self> {
        let previous = Some(&text["previous"]).filter(|keys| !keys.is_null());
        let previous = previous.map(KeySet::import).transpose()?;
        Ok(Self {
            current: KeySet::import(&text["current"])?,
            previous,
        })
    }

    /// The published keys (RFC 7517 §5), the current ones first.
    pub fn jwks(&self) -> Value {
        let sets = std::iter::once(&self.current).chain(&self.previous);
        json!({ "keys": sets.flat_map(|set| &set.0).map(|key| &key.jwk).collect::<Vec<_>>() })
    }

    /// A compact JWS (RFC 7515 §7.1) over the claims.
    pub fn sign(&self, algorithm: Algorithm, claims: &Map<String, Value>) -> Result<String> {
        let key = self.current.key(algorithm)?;
        let header = json!({ "alg": algorithm.name(), "kid": key.kid, "typ": "JWT" });
        let input = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(&serde_json::to_vec(claims)?)
        );
        let signature = key.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", encode(&signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::jwt::{decode_unverified, verify_signature, with_spoilt_signature};

    fn verifies(token: &str, jwks: &Value) -> Result<(), String> {
        verify_signature(&decode_unverified(token).unwrap(), jwks)
    }

    #[test]
    fn each_algorithm_signs_what_the_published_keys_verify() {
        let ring = KeyRing::new(KeySet::generate().unwrap());
        for algorithm in Algorithm::ALL {
            let token = ring.sign(algorithm, &Map::new()).unwrap();
            assert_eq!(verifies(&token, &ring.jwks()), Ok(()), "{algorithm:?}");
            let spoilt = with_spoilt_signature(&token).unwrap();
            assert_eq!(
                verifies(&spoilt, &ring.jwks()),
                Err("the signature is wrong".to_owned())
            );
        }
    }

    #[test]
    fn exported_keys_sign_and_publish_as_before() {
        let mut ring = KeyRing::new(KeySet::generate().unwrap());
        ring.rotate(KeySet::generate().unwrap(), false);
        let again = KeyRing::import(&ring.export()).unwrap();
        assert_eq!(again.jwks(), ring.jwks());
        let token = again.sign(Algorithm::Rs256, &Map::new()).unwrap();
        assert_eq!(verifies(&token, &ring.jwks()), Ok(()));
        let missing = KeyRing::import(&json!({ "current": ["x"] })).err().unwrap();
        assert_eq!(missing.to_string(), "a key is missing");
    }

    #[test]
    fn a_rotated_key_stays_published_once_unless_it_is_removed() {
        let mut ring = KeyRing::new(KeySet::generate().unwrap());
        let withdrawn = Err("no published key has its `kid`".to_owned());
        let old = ring.sign(Algorithm::EdDsa, &Map::new()).unwrap();
        ring.rotate(KeySet::generate().unwrap(), false);
        assert_eq!(verifies(&old, &ring.jwks()), Ok(()));
        let newer = ring.sign(Algorithm::EdDsa, &Map::new()).unwrap();
        ring.rotate(KeySet::generate().unwrap(), true);
        assert_eq!(verifies(&old, &ring.jwks()), withdrawn);
        assert_eq!(verifies(&newer, &ring.jwks()), withdrawn);
    }
}
