//! Whether the certificate beside a key certifies that key (RFC 7517 §4.7).
//!
//! A certificate is never a reason to trust a key here: keys are trusted because the issuer's key set lists them. A
//! certificate that contradicts its key shows that the key set is not what the issuer meant. So no certificate is
//! parsed, and none is refused for what a parser makes of it: the key's own `SubjectPublicKeyInfo` must be in the first
//! one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use spki::der::Encode;
use spki::der::asn1::{AnyRef, BitStringRef, UintRef};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};
use vouchsafe_json::{Json, JsonObject};

use crate::base64url;
use crate::error::KeyError;

/// rsaEncryption (RFC 8017 appendix A.1).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey, secp256r1 and secp384r1 (RFC 5480 §2.1.1).
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// id-Ed25519 (RFC 8410 §3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A curve of ECDSA keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

/// The `SubjectPublicKeyInfo` of an RSA key, from big-endian numbers.
pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Result<Vec<u8>, KeyError> {
    let numbers = UintRef::new(n).and_then(|n| [n, UintRef::new(e)?].to_der());
    let key = numbers.map_err(|_| KeyError::Malformed)?;
    public_key_info(RSA, Some(AnyRef::NULL), &key)
}

/// The `SubjectPublicKeyInfo` of an uncompressed point.
pub(crate) fn ec(curve: Curve, point: &[u8]) -> Result<Vec<u8>, KeyError> {
    let curve = match curve {
        Curve::P256 => &P256,
        Curve::P384 => &P384,
    };
    public_key_info(EC, Some(curve.into()), point)
}

/// The `SubjectPublicKeyInfo` of an Ed25519 key.
pub(crate) fn ed25519(point: &[u8]) -> Result<Vec<u8>, KeyError> {
    public_key_info(ED25519, None, point)
}

/// Checks that `x5c`, if present, begins with a certificate of the key with this `SubjectPublicKeyInfo`.
pub(crate) fn require_own(jwk: &JsonObject, info: &[u8]) -> Result<(), KeyError> {
    let Some(chain) = jwk.get("x5c") else {
        return Ok(());
    };
    let first = chain.as_array().and_then(<[Json]>::first);
    let certificate =
        first.and_then(Json::as_text).and_then(|text| STANDARD.decode(text).ok()).ok_or(KeyError::Certificate)?;
    let holds = certificate.windows(info.len()).any(|window| window == info);
    if holds { Ok(()) } else { Err(KeyError::Certificate) }
}

/// Whether a JWK of P-256 or Ed25519 has an `x5c` whose first certificate is for its key. Does not check the key
/// itself: [`crate::PublicKey::from_jwk`] does.
#[must_use]
pub fn certificate_is_of_key(jwk: &JsonObject) -> bool {
    let bytes = |name| {
        let text = jwk.get(name).and_then(Json::as_text);
        text.and_then(base64url::decode)
    };
    let info = match (jwk.get("crv").and_then(Json::as_text), bytes("x"), bytes("y")) {
        (Some("P-256"), Some(x), Some(y)) => ec(Curve::P256, &[&[0x04][..], &x, &y].concat()),
        (Some("Ed25519"), Some(x), None) => ed25519(&x),
        _ => return false,
    };
    jwk.contains("x5c") && info.and_then(|info| require_own(jwk, &info)).is_ok()
}

fn public_key_info(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, key: &[u8]) -> Result<Vec<u8>, KeyError> {
    let key = BitStringRef::from_bytes(key);
    let info = key.and_then(|subject_public_key| {
        let algorithm = AlgorithmIdentifierRef { oid, parameters };
        SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der()
    });
    info.map_err(|_| KeyError::Malformed)
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
