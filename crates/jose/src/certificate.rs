//! Whether the certificate beside a key is of that key (RFC 7517 §4.7).
//!
//! A certificate is never a reason to trust a key here: keys are trusted because the issuer's set
//! lists them. One that contradicts its key shows that the set is not what the issuer meant. So no
//! certificate is parsed; the key's own `SubjectPublicKeyInfo` must be in the first one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use vouchsafe_json::{Json, JsonObject};

use crate::base64url;
use crate::error::KeyRejection;

const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// `AlgorithmIdentifier`s in DER: rsaEncryption (RFC 8017 A.1), id-ecPublicKey with secp256r1 and
/// secp384r1 (RFC 5480 §2.1.1), id-Ed25519 (RFC 8410 §3).
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
    0x00, 0x22,
];
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// A curve of ECDSA keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

/// The `SubjectPublicKeyInfo` of an RSA key, of big-endian numbers.
pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Vec<u8> {
    public_key_info(RSA, &der(SEQUENCE, &[integer(n), integer(e)].concat()))
}

/// The `SubjectPublicKeyInfo` of an uncompressed point.
pub(crate) fn ec(curve: Curve, point: &[u8]) -> Vec<u8> {
    let algorithm = match curve {
        Curve::P256 => P256,
        Curve::P384 => P384,
    };
    public_key_info(algorithm, point)
}

pub(crate) fn ed25519(point: &[u8]) -> Vec<u8> {
    public_key_info(ED25519, point)
}

/// `x5c`, where there is one, must begin with a certificate of the key with this
/// `SubjectPublicKeyInfo`.
pub(crate) fn require_own(jwk: &JsonObject, info: &[u8]) -> Result<(), KeyRejection> {
    let Some(chain) = jwk.get("x5c") else {
        return Ok(());
    };
    let first = chain.as_array().and_then(<[Json]>::first);
    let certificate = first
        .and_then(Json::as_text)
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or(KeyRejection::Certificate)?;
    let holds = certificate.windows(info.len()).any(|window| window == info);
    if holds {
        Ok(())
    } else {
        Err(KeyRejection::Certificate)
    }
}

/// Whether a JWK of P-256 or Ed25519 has an `x5c` whose first certificate is of its key. Whether the key is
/// a good one is not looked at: [`crate::PublicKey::from_jwk`] does.
#[must_use]
pub fn certificate_is_of_key(jwk: &JsonObject) -> bool {
    let bytes = |name| {
        let text = jwk.get(name).and_then(Json::as_text);
        text.and_then(base64url::decode)
    };
    let info = match (
        jwk.get("crv").and_then(Json::as_text),
        bytes("x"),
        bytes("y"),
    ) {
        (Some("P-256"), Some(x), Some(y)) => ec(Curve::P256, &[&[0x04][..], &x, &y].concat()),
        (Some("Ed25519"), Some(x), None) => ed25519(&x),
        _ => return false,
    };
    jwk.contains("x5c") && require_own(jwk, &info).is_ok()
}

fn public_key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let key = der(BIT_STRING, &[&[0], key].concat());
    der(SEQUENCE, &[algorithm, &key].concat())
}

/// A positive number; a leading zero keeps its sign.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let sign: &[u8] = if negative { &[0] } else { &[] };
    der(INTEGER, &[sign, bytes].concat())
}

/// Tag, length and content (X.690 §8.1.3); contents here are shorter than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let mut encoded = vec![tag];
    match (high, low) {
        (0, short) if short < 0x80 => encoded.push(short),
        (0, low) => encoded.extend([0x81, low]),
        (high, low) => encoded.extend([0x82, high, low]),
    }
    encoded.extend_from_slice(content);
    encoded
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
