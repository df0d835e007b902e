//! Reading JWTs from outside: decoding, spoiling, and verifying against a published key set.

use super::{decode, encode};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

/// The first byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A JWT taken apart, nothing of it believed.
#[derive(Debug)]
pub struct Decoded {
    pub header: Value,
    pub claims: Value,
    signing_input: String,
    signature: Vec<u8>,
}

/// Takes a compact JWS apart; `None` where it is not one.
pub fn decode_unverified(token: &str) -> Option<Decoded> {
    let (signing_input, signature) = token.rsplit_once('.')?;
    let (header, claims) = signing_input.split_once('.')?;
    Some(Decoded {
        header: serde_json::from_slice(&decode(header)?).ok()?,
        claims: serde_json::from_slice(&decode(claims)?).ok()?,
        signing_input: signing_input.to_owned(),
        signature: decode(signature)?,
    })
}

/// The same token with one bit of its signature changed, in canonical base64url still.
pub fn with_spoilt_signature(token: &str) -> Option<String> {
    let mut decoded = decode_unverified(token)?;
    let middle = decoded.signature.len() / 2;
    *decoded.signature.get_mut(middle)? ^= 1;
    Some(format!(
        "{}.{}",
        decoded.signing_input,
        encode(&decoded.signature)
    ))
}

/// Checks the signature with the key that `kid` names in a JWK set; the key decides the algorithm.
pub fn verify_signature(token: &Decoded, jwks: &Value) -> Result<(), String> {
    let kid = token.header["kid"]
        .as_str()
        .ok_or("the header has no `kid`")?;
    let keys = jwks["keys"].as_array().ok_or("the JWKS has no `keys`")?;
    let key = keys
        .iter()
        .find(|key| key["kid"] == kid)
        .ok_or("no published key has its `kid`")?;
    if key["alg"] != token.header["alg"] {
        return Err("header and key name different algorithms".to_owned());
    }
    if check(key, &token.signing_input, &token.signature) {
        Ok(())
    } else {
        Err("the signature is wrong".to_owned())
    }
}

fn check(key: &Value, input: &str, signature: &[u8]) -> bool {
    let member = |name: &str| key[name].as_str().and_then(decode).unwrap_or_default();
    let input = input.as_bytes();
    match (key["alg"].as_str(), key["kty"].as_str()) {
        (Some("ES256"), Some("EC")) => {
            let point = [vec![UNCOMPRESSED], member("x"), member("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(input, signature)
                .is_ok()
        }
        (Some("EdDSA"), Some("OKP")) => UnparsedPublicKey::new(&ED25519, member("x"))
            .verify(input, signature)
            .is_ok(),
        (Some("RS256"), Some("RSA")) => RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        }
        .verify(&RSA_PKCS1_2048_8192_SHA256, input, signature)
        .is_ok(),
        _ => false,
    }
}
