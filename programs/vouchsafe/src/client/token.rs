//! Verification of tokens that a broker issued, as a strict API would do it.

use super::base64url::{decode, encode};
use super::text::sanitize;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vouchsafe_jose::{Json, JsonObject, KeySet, KeyUse, UnverifiedJws};
use vouchsafe_x509::{LeafKey, PinError, PinnedLeaf, PinnedRoot};

/// The header's `typ` of an access token (RFC 9068 §2.1) and of any other JWT.
const TYPS: [&str; 2] = ["at+jwt", "JWT"];

/// What a valid token must contain.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    /// The root whose certificates are trusted; without it, the JWK Set is.
    pub root: Option<&'a PinnedRoot>,
    /// Unix seconds.
    pub now: u64,
}

/// A valid token.
#[derive(Debug)]
pub struct VerifiedToken {
    pub algorithm: &'static str,
    pub kid: String,
    pub pinned: Option<PinnedLeaf>,
    pub claims: serde_json::Value,
    /// Unix seconds.
    pub expires: u64,
}

/// The step at which verification failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Token,
    KeySet,
    Key,
    Certificate,
    Signature,
    Claims,
}

impl Check {
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::KeySet => "key set",
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Signature => "signature",
            Self::Claims => "claims",
        }
    }
}

/// Why a token is invalid.
#[derive(Debug, PartialEq, Eq)]
pub struct VerificationError {
    pub check: Check,
    pub reason: String,
    pub hint: Option<&'static str>,
}

impl VerificationError {
    fn new(check: Check, reason: impl ToString) -> Self {
        Self { check, reason: reason.to_string(), hint: None }
    }
}

/// Verifies `token` with the key that its `kid` names in a JWK Set.
///
/// ORDER: the certificate before the key is used, the signature before any claim has an effect.
pub fn verify(token: &str, jwks: &[u8], expected: &Expected<'_>) -> Result<VerifiedToken, VerificationError> {
    let jws = parse(token)?;
    if !jws.typ().is_some_and(|typ| TYPS.contains(&typ)) {
        return Err(VerificationError::new(Check::Token, "`typ` is neither at+jwt nor JWT"));
    }
    let mut pinned = None;
    let kid = verify_jws(&jws, jwks, |kid| {
        if let Some(root) = expected.root {
            pinned = Some(verify_certificate(root, jwks, kid, expected)?);
        }
        Ok(())
    })?;
    let expires = verify_claims(jws.payload(), expected)?;
    let claims = serde_json::from_slice(jws.payload())
        .map_err(|_| VerificationError::new(Check::Claims, "claims are not JSON"))?;
    Ok(VerifiedToken { algorithm: jws.algorithm().name(), kid, pinned, claims, expires })
}

/// Verifies only the signature of a JWS.
pub fn verify_signature(token: &str, jwks: &[u8]) -> Result<(), VerificationError> {
    verify_jws(&parse(token)?, jwks, |_| Ok(())).map(drop)
}

fn parse(token: &str) -> Result<UnverifiedJws, VerificationError> {
    UnverifiedJws::parse(token).map_err(|error| VerificationError::new(Check::Token, error))
}

/// Verifies the signature after `check_kid`, and returns the `kid`.
fn verify_jws(
    jws: &UnverifiedJws,
    jwks: &[u8],
    check_kid: impl FnOnce(&str) -> Result<(), VerificationError>,
) -> Result<String, VerificationError> {
    let kid = jws.kid().ok_or_else(|| VerificationError::new(Check::Token, "no `kid`"))?;
    let keys = KeySet::parse(jwks, KeyUse::Signature, &vouchsafe_crypto::Software)
        .map_err(|error| VerificationError::new(Check::KeySet, error))?;
    let key = keys.find(Some(kid), jws.algorithm()).map_err(|error| VerificationError {
        hint: Some("the token's epoch ended long ago, or it is from another broker or a revoked generation"),
        ..VerificationError::new(Check::Key, error)
    })?;
    check_kid(kid)?;
    key.verify(jws.signing_input().as_bytes(), jws.signature())
        .map_err(|error| VerificationError::new(Check::Signature, error))?;
    Ok(kid.to_owned())
}

fn verify_certificate(
    root: &PinnedRoot,
    jwks: &[u8],
    kid: &str,
    expected: &Expected<'_>,
) -> Result<PinnedLeaf, VerificationError> {
    let verify = || {
        let set = JsonObject::parse(jwks).map_err(|_| PinError::Malformed)?;
        let keys = set.get("keys").and_then(Json::as_array).unwrap_or_default();
        let has_kid = |jwk: &&JsonObject| jwk.get("kid").and_then(Json::as_text) == Some(kid);
        let mut jwks = keys.iter().filter_map(Json::as_object);
        let jwk = jwks.find(has_kid).ok_or(PinError::Missing)?;
        let chain = jwk.get("x5c").and_then(Json::as_array);
        let leaf = chain.and_then(<[Json]>::first).ok_or(PinError::Missing)?;
        let leaf = leaf.as_text().and_then(|text| STANDARD.decode(text).ok());
        let leaf = leaf.ok_or(PinError::Malformed)?;
        let key = leaf_key(jwk).ok_or(PinError::Key)?;
        root.vouches_for(&leaf, &key, expected.issuer, expected.now)
    };
    verify().map_err(|error| VerificationError {
        hint: match error {
            PinError::Missing => {
                Some("keys of tier `hsm` have no certificate: only tier `delegated` can be pinned")
            }
            PinError::Chain => Some(
                "the root was replaced, or the keys are not the broker's: ask its operator, through another channel, for the fingerprint that `hsm-gateway status` shows",
            ),
            PinError::NotYetValid | PinError::Expired => {
                Some("check this machine's clock, and whether the key set is an old copy")
            }
            _ => None,
        },
        ..VerificationError::new(Check::Certificate, error)
    })
}

fn leaf_key(jwk: &JsonObject) -> Option<LeafKey> {
    let bytes = |name| decode(jwk.get(name)?.as_text()?)?.try_into().ok();
    match jwk.get("crv")?.as_text()? {
        "Ed25519" => Some(LeafKey::Ed25519(bytes("x")?)),
        "P-256" => Some(LeafKey::P256 { x: bytes("x")?, y: bytes("y")? }),
        _ => None,
    }
}

/// Verifies the claims, and returns when the token expires.
fn verify_claims(payload: &[u8], expected: &Expected<'_>) -> Result<u64, VerificationError> {
    let wrong = |reason: &str| VerificationError::new(Check::Claims, reason);
    let claims = JsonObject::parse(payload).map_err(|_| wrong("claims are not strict JSON"))?;
    let text = |name| claims.get(name).and_then(Json::as_text);
    let time = |name| match claims.get(name) {
        Some(Json::Integer(time)) => u64::try_from(*time).ok(),
        Some(_) | None => None,
    };
    for (name, expected) in [("iss", expected.issuer), ("aud", expected.audience)] {
        if text(name) != Some(expected) {
            return Err(wrong(&format!("`{name}` is {}, not `{expected}`", show(payload, name))));
        }
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err(wrong("`sub` is missing"));
    }
    let expires = time("exp").ok_or_else(|| wrong("`exp` is missing"))?;
    if expires <= expected.now {
        return Err(wrong("expired"));
    }
    if claims.contains("nbf") && time("nbf").is_none_or(|start| start > expected.now) {
        return Err(wrong("not valid yet"));
    }
    Ok(expires)
}

/// A claim for a message.
fn show(payload: &[u8], name: &str) -> String {
    let claims: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    match claims.get(name) {
        None => "missing".to_owned(),
        Some(serde_json::Value::String(text)) => format!("`{}`", sanitize(text)),
        Some(other) => format!("`{}`", sanitize(&other.to_string())),
    }
}

/// Flips one bit of a JWS's signature, keeping its encoding canonical; `None` if it is not a JWS.
pub fn corrupt_signature(token: &str) -> Option<String> {
    let (signing_input, signature) = token.rsplit_once('.')?;
    signing_input.split_once('.')?;
    let mut signature = decode(signature)?;
    let middle = signature.len() / 2;
    *signature.get_mut(middle)? ^= 1;
    Some(format!("{signing_input}.{}", encode(&signature)))
}

#[cfg(test)]
mod tests;
