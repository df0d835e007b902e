//! One public key that verifies one algorithm (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use std::fmt;

use p256::ecdsa::signature::Verifier;

use crate::algorithm::Algorithm;
use crate::base64url;
use crate::certificate;
use crate::error::{KeyError, SignatureError};
use crate::limits::RSA_MODULUS_BITS_MAX;
use crate::rsa::RsaPublicKey;
use vouchsafe_json::{Json, JsonObject};

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
pub struct PublicKey(Kind);

#[derive(Clone)]
enum Kind {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Rsa(RsaPublicKey),
}

impl PublicKey {
    /// Reads a JWK and checks its stated purpose.
    ///
    /// # Errors
    /// [`KeyError`] if this JWK can't verify signatures here.
    pub fn from_jwk(jwk: &JsonObject, key_use: KeyUse) -> Result<Self, KeyError> {
        Self::from_jwk_within(jwk, key_use, RSA_MODULUS_BITS_MAX)
    }

    /// Like [`Self::from_jwk`], with an RSA modulus of at most `rsa_bits_max`.
    pub(crate) fn from_jwk_within(jwk: &JsonObject, key_use: KeyUse, rsa_bits_max: u32) -> Result<Self, KeyError> {
        require_use(jwk, key_use)?;
        let (kind, info) = match required_text(jwk, "kty")? {
            "EC" => ec_key(jwk)?,
            "OKP" => ed25519_key(jwk)?,
            "RSA" => {
                let (n, e) = (required_bytes(jwk, "n")?, required_bytes(jwk, "e")?);
                let key = RsaPublicKey::from_be_bytes(&n, &e, rsa_bits_max)?;
                (Kind::Rsa(key), certificate::rsa(&n, &e)?)
            }
            _ => return Err(KeyError::KeyType),
        };
        certificate::require_own(jwk, &info)?;
        let key = Self(kind);
        match jwk.get("alg") {
            None => Ok(key),
            Some(Json::Text(alg)) if alg == key.algorithm().name() => Ok(key),
            Some(_) => Err(KeyError::AlgorithmMismatch),
        }
    }

    /// The only algorithm that this key is used with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::Ed25519(_) => Algorithm::EdDsa,
            Kind::P256(_) => Algorithm::Es256,
            Kind::P384(_) => Algorithm::Es384,
            Kind::Rsa(_) => Algorithm::Rs256,
        }
    }

    /// Checks `signature` over `message`.
    ///
    /// # Errors
    /// [`SignatureError`] if the signature does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match &self.0 {
            Kind::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| SignatureError)?;
                // Strict: rejects keys and commitments of small order (RFC 8032 §5.1.7 leaves this open).
                key.verify_strict(message, &signature).map_err(|_| SignatureError)
            }
            Kind::P256(key) => {
                // `r` and `s` as 32 bytes each, never DER (RFC 7518 §3.4).
                let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError)?;
                key.verify(message, &signature).map_err(|_| SignatureError)
            }
            Kind::P384(key) => {
                let signature = p384::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError)?;
                key.verify(message, &signature).map_err(|_| SignatureError)
            }
            Kind::Rsa(key) => key.verify(message, signature),
        }
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

fn ec_key(jwk: &JsonObject) -> Result<(Kind, Vec<u8>), KeyError> {
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
    let kind = match curve {
        certificate::Curve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Kind::P256),
        certificate::Curve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).map(Kind::P384),
    };
    let kind = kind.map_err(|_| KeyError::Point)?;
    Ok((kind, certificate::ec(curve, &point)?))
}

fn ed25519_key(jwk: &JsonObject) -> Result<(Kind, Vec<u8>), KeyError> {
    if required_text(jwk, "crv")? != "Ed25519" {
        return Err(KeyError::Curve);
    }
    let point = required_bytes(jwk, "x")?.try_into().map_err(|_| KeyError::Malformed)?;
    if !is_canonical(&point) {
        return Err(KeyError::Point);
    }
    let key = ed25519_dalek::VerifyingKey::from_bytes(&point).map_err(|_| KeyError::Point)?;
    if key.is_weak() { Err(KeyError::Point) } else { Ok((Kind::Ed25519(key), certificate::ed25519(&point)?)) }
}

/// Whether y, the little-endian bytes without the sign bit, is less than 2^255 − 19 (RFC 8032 §5.1.3).
fn is_canonical(point: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = point;
    let is_largest = middle.iter().all(|byte| *byte == 0xff) && highest & 0x7f == 0x7f;
    !is_largest || *lowest < 0xed
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
