//! Public keys from the wire. They are rebuilt from their members, so that no `kid` and no unknown member is trusted. A
//! certificate must be for the same key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use vouchsafe_jose::certificate_is_of_key;
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_signer::PublicJwk;

const COORDINATE_BYTES: usize = 32;
/// 8192 bits; the gateway decides which keys are strong enough.
const MODULUS_BYTES_MAX: usize = 1_024;

/// A JWK that is not a public key for signing tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key for signing tokens")]
pub struct JwkError;

/// Reads a JWK that [`PublicJwk::to_json`] wrote.
pub(crate) fn parse(jwk: &JsonObject) -> Result<PublicJwk, JwkError> {
    let text = |name| jwk.get(name).and_then(Json::as_text).ok_or(JwkError);
    let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).map_err(|_| JwkError);
    let coordinate = |name| {
        let bytes = bytes(name)?;
        (bytes.len() == COORDINATE_BYTES).then_some(bytes).ok_or(JwkError)
    };
    let parsed = match (text("kty")?, jwk.get("crv").and_then(Json::as_text)) {
        ("EC", Some("P-256")) => PublicJwk::p256(&coordinate("x")?, &coordinate("y")?),
        ("OKP", Some("Ed25519")) => PublicJwk::ed25519(&coordinate("x")?),
        ("RSA", None) => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            if n.len() > MODULUS_BYTES_MAX || e.is_empty() || e.len() > 8 {
                return Err(JwkError);
            }
            PublicJwk::rsa(&n, &e)
        }
        _ => return Err(JwkError),
    };
    let parsed = match jwk.get("x5c") {
        None => parsed,
        Some(chain) => match chain.as_array() {
            Some([Json::Text(certificate)]) if certificate_is_of_key(jwk) => {
                let der = STANDARD.decode(certificate).map_err(|_| JwkError)?;
                parsed.with_certificate(&der)
            }
            Some(_) | None => return Err(JwkError),
        },
    };
    // Exactly what we would write: no unknown or private member, no other `kid`.
    let ours = JsonObject::parse(parsed.to_json().as_bytes()).map_err(|_| JwkError)?;
    if ours == *jwk { Ok(parsed) } else { Err(JwkError) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use vouchsafe_signer::CurvePoint;

    /// Not a certificate, but it contains the key's `SubjectPublicKeyInfo`.
    pub(crate) fn certificate(jwk: &PublicJwk) -> Vec<u8> {
        let p256 = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
        let ed25519 = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
        let info = match jwk.curve_point().unwrap() {
            CurvePoint::P256 { x, y } => [&p256[..], &x, &y].concat(),
            CurvePoint::Ed25519(x) => [&ed25519[..], &x].concat(),
        };
        [b"before", &info[..], b"behind"].concat()
    }

    #[test]
    fn accepts_only_a_certificate_of_the_key() {
        let (key, other) = (PublicJwk::p256(&[1; 32], &[2; 32]), PublicJwk::ed25519(&[3; 32]));
        for (key, other) in [(&key, &other), (&other, &key)] {
            let good = key.clone().with_certificate(&certificate(key)).to_json();
            check(&good, true);
            check(&key.clone().with_certificate(&certificate(other)).to_json(), false);
            check(&key.clone().with_certificate(b"").to_json(), false);
            check(&good.replace(r#""x5c":["#, r#""x5c":["AA==","#), false);
            check(&good.replace(r#""x5c":["#, r#""x5c":[1,"#), false);
            check(&good.replace(r#""x5c":"#, r#""x5t":"#), false);
        }
        let rsa = PublicJwk::rsa(&[4; 384], &[1, 0, 1]);
        check(&rsa.with_certificate(b"of RSA").to_json(), false);
    }

    fn check(jwk: &str, expected: bool) {
        let object = JsonObject::parse(jwk.as_bytes()).unwrap();
        assert_eq!(parse(&object).is_ok(), expected, "{jwk}");
    }

    #[test]
    fn accepts_only_what_it_writes() {
        for key in
            [PublicJwk::p256(&[1; 32], &[2; 32]), PublicJwk::ed25519(&[3; 32]), PublicJwk::rsa(&[4; 384], &[1, 0, 1])]
        {
            let jwk = key.to_json();
            check(&jwk, true);
            check(&jwk.replace(key.kid(), "another"), false);
            check(&jwk.replacen('{', r#"{"d":"AA","#, 1), false);
            check(&jwk.replace(r#""use":"sig","#, ""), false);
            check(&jwk.replace(r#""use":"sig""#, r#""use":"enc""#), false);
        }
        check(&PublicJwk::ed25519(&[3; 31]).to_json(), false);
        check(&PublicJwk::p256(&[1; 32], &[2; 33]).to_json(), false);
        check(&PublicJwk::rsa(&[4; 1_025], &[3]).to_json(), false);
        check(r#"{"kty":"oct","k":"AA"}"#, false);
    }
}
