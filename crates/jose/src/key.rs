//! One public key that verifies one algorithm (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use std::fmt;
use std::sync::Arc;

use vouchsafe_crypto::{Crypto, PublicNumbers, VerifyingKey};

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::certificate;
use crate::error::{KeyError, SignatureError};
use crate::limits::RSA_MODULUS_BITS_MAX;
use crate::rsa;
use vouchsafe_json::{Json, JsonObject};

const ED25519_POINT_BYTES: usize = 32;
const P256_COORDINATE_BYTES: usize = 32;
const P384_COORDINATE_BYTES: usize = 48;

/// The required purpose of a key, as stated in `use` (RFC 7517 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// `sig`, or no `use` at all.
    Signature,
    /// `jwt-svid`, with a `kid` (SPIFFE JWT-SVID §4). Other keys of a SPIFFE bundle (`x509-svid`, `wit-svid`) serve
    /// other purposes.
    JwtSvid,
}

/// A public key, ready to verify. Its type fixes the algorithm, so a token can't choose how a key
/// is used (RFC 8725 §3.1).
#[derive(Clone)]
pub struct PublicKey {
    algorithm: Algorithm,
    key: Arc<dyn VerifyingKey>,
}

impl PublicKey {
    /// Reads a JWK and checks its stated purpose. `crypto` verifies with it.
    ///
    /// # Errors
    /// [`KeyError`] if this JWK can't verify signatures here.
    pub fn from_jwk(jwk: &JsonObject, key_use: KeyUse, crypto: &dyn Crypto) -> Result<Self, KeyError> {
        Self::from_jwk_within(jwk, key_use, RSA_MODULUS_BITS_MAX, crypto)
    }

    /// Like [`Self::from_jwk`], with an RSA modulus of at most `rsa_bits_max`.
    pub(crate) fn from_jwk_within(
        jwk: &JsonObject,
        key_use: KeyUse,
        rsa_bits_max: u32,
        crypto: &dyn Crypto,
    ) -> Result<Self, KeyError> {
        require_use(jwk, key_use)?;
        let (key, info) = match required_text(jwk, "kty")? {
            "EC" => ec_key(jwk, crypto)?,
            "OKP" => ed25519_key(jwk, crypto)?,
            "RSA" => rsa_key(jwk, rsa_bits_max, crypto)?,
            _ => return Err(KeyError::KeyType),
        };
        certificate::require_own(jwk, &info)?;
        match jwk.get("alg") {
            None => Ok(key),
            Some(Json::Text(alg)) if alg == key.algorithm().name() => Ok(key),
            Some(_) => Err(KeyError::AlgorithmMismatch),
        }
    }

    /// The only algorithm that this key is used with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Checks `signature` over `message`.
    ///
    /// # Errors
    /// [`SignatureError`] if the signature does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if self.key.verifies(message, signature) { Ok(()) } else { Err(SignatureError) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.algorithm())
    }
}

/// Checks that `use` is the required one and that `key_ops`, if present, contains `verify` (RFC 7517 §4.2, §4.3).
fn require_use(jwk: &JsonObject, key_use: KeyUse) -> Result<(), KeyError> {
    let stated = jwk.get("use").map(Json::as_text);
    let fits = match key_use {
        KeyUse::Signature => stated.is_none_or(|purpose| purpose == Some("sig")),
        KeyUse::JwtSvid => stated == Some(Some("jwt-svid")),
    };
    if !fits {
        return Err(KeyError::Purpose);
    }
    if key_use == KeyUse::JwtSvid && !jwk.contains("kid") {
        return Err(KeyError::KidMissing);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Json::Array(operations)) if operations.iter().any(|op| op.as_text() == Some("verify")) => Ok(()),
        Some(_) => Err(KeyError::Purpose),
    }
}

/// A key and its `SubjectPublicKeyInfo`.
type KeyAndInfo = (PublicKey, Vec<u8>);

fn load(algorithm: Algorithm, numbers: PublicNumbers<'_>, crypto: &dyn Crypto) -> Option<PublicKey> {
    Some(PublicKey { algorithm, key: crypto.verifying_key(numbers)? })
}

fn ec_key(jwk: &JsonObject, crypto: &dyn Crypto) -> Result<KeyAndInfo, KeyError> {
    let (bytes, curve) = match required_text(jwk, "crv")? {
        "P-256" => (P256_COORDINATE_BYTES, certificate::Curve::P256),
        "P-384" => (P384_COORDINATE_BYTES, certificate::Curve::P384),
        _ => return Err(KeyError::Curve),
    };
    let (x, y) = (required_bytes(jwk, "x")?, required_bytes(jwk, "y")?);
    if x.len() != bytes || y.len() != bytes {
        return Err(KeyError::Malformed);
    }
    let point = [&[0x04][..], &x, &y].concat();
    let key = match curve {
        certificate::Curve::P256 => load(Algorithm::Es256, PublicNumbers::P256(&point), crypto),
        certificate::Curve::P384 => load(Algorithm::Es384, PublicNumbers::P384(&point), crypto),
    };
    Ok((key.ok_or(KeyError::Point)?, certificate::ec(curve, &point)?))
}

fn ed25519_key(jwk: &JsonObject, crypto: &dyn Crypto) -> Result<KeyAndInfo, KeyError> {
    if required_text(jwk, "crv")? != "Ed25519" {
        return Err(KeyError::Curve);
    }
    let point = required_bytes(jwk, "x")?;
    if point.len() != ED25519_POINT_BYTES {
        return Err(KeyError::Malformed);
    }
    let key = load(Algorithm::EdDsa, PublicNumbers::Ed25519(&point), crypto).ok_or(KeyError::Point)?;
    Ok((key, certificate::ed25519(&point)?))
}

fn rsa_key(jwk: &JsonObject, bits_max: u32, crypto: &dyn Crypto) -> Result<KeyAndInfo, KeyError> {
    let (n, e) = (required_bytes(jwk, "n")?, required_bytes(jwk, "e")?);
    let exponent = rsa::require_strong(&n, &e, bits_max)?;
    let numbers = PublicNumbers::Rsa { modulus: &n, exponent };
    let key = load(Algorithm::Rs256, numbers, crypto).ok_or(KeyError::RsaModulus)?;
    Ok((key, certificate::rsa(&n, &e)?))
}

fn required_text<'j>(jwk: &'j JsonObject, name: &str) -> Result<&'j str, KeyError> {
    jwk.get(name).and_then(Json::as_text).ok_or(KeyError::Malformed)
}

fn required_bytes(jwk: &JsonObject, name: &str) -> Result<Vec<u8>, KeyError> {
    base64url::decode(required_text(jwk, name)?).ok_or(KeyError::Malformed)
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
