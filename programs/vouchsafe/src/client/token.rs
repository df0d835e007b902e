//! One token against one JWK Set: the key, its certificate, the signature, the claims, in this order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use vouchsafe_jose::{Json, JsonObject, KeySet, KeyUse, UnverifiedJws};
use vouchsafe_x509::{LeafKey, PinError, PinnedLeaf, PinnedRoot};

/// The header's `typ` of an access token (RFC 9068 §2.1) and of any other JWT.
const TYPS: [&str; 2] = ["at+jwt", "JWT"];

/// What a good token has.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    /// The root whose word on keys is believed; without it the JWK Set's is.
    pub root: Option<&'a PinnedRoot>,
    /// Unix seconds.
    pub now: u64,
}

/// A good token.
#[derive(Debug)]
pub struct Accepted {
    pub algorithm: &'static str,
    pub kid: String,
    pub pinned: Option<PinnedLeaf>,
    pub claims: serde_json::Value,
    /// Unix seconds.
    pub expires: u64,
}

/// Where a token failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Token,
    Key,
    Certificate,
    Signature,
    Claims,
}

impl Check {
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Signature => "signature",
            Self::Claims => "claims",
        }
    }
}

/// Why a token is not good.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub check: Check,
    pub reason: String,
    pub hint: Option<&'static str>,
}

fn refused(check: Check, reason: impl ToString) -> Refused {
    Refused {
        check,
        reason: reason.to_string(),
        hint: None,
    }
}

/// ORDER: the certificate before the key is used, the signature before a claim is believed.
pub fn check(token: &str, jwks: &[u8], expected: &Expected<'_>) -> Result<Accepted, Refused> {
    let jws = UnverifiedJws::parse(token).map_err(|error| refused(Check::Token, error))?;
    if !jws.typ().is_some_and(|typ| TYPS.contains(&typ)) {
        return Err(refused(Check::Token, "its `typ` is neither at+jwt nor JWT"));
    }
    let kid = jws.kid().ok_or(refused(Check::Token, "it has no `kid`"))?;
    let keys =
        KeySet::parse(jwks, KeyUse::Signature).map_err(|error| refused(Check::Key, error))?;
    let key = keys.find(Some(kid), jws.algorithm()).map_err(|error| Refused {
        hint: Some("a token of an epoch that is long over, of another broker, or of a generation that was revoked"),
        ..refused(Check::Key, error)
    })?;
    let pinned = match expected.root {
        Some(root) => Some(vouched_for(root, jwks, kid, expected)?),
        None => None,
    };
    key.verify(jws.signing_input().as_bytes(), jws.signature())
        .map_err(|error| refused(Check::Signature, error))?;
    let expires = claims(jws.payload(), expected)?;
    let shown = serde_json::from_slice(jws.payload());
    Ok(Accepted {
        algorithm: jws.algorithm().name(),
        kid: kid.to_owned(),
        pinned,
        claims: shown.map_err(|_| refused(Check::Claims, "its claims are not JSON"))?,
        expires,
    })
}

fn vouched_for(
    root: &PinnedRoot,
    jwks: &[u8],
    kid: &str,
    expected: &Expected<'_>,
) -> Result<PinnedLeaf, Refused> {
    let vouched = || {
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
    vouched().map_err(|error| Refused {
        hint: match error {
            PinError::Missing => Some("keys of tier `hsm` have no certificate: a pin is for tier `delegated`"),
            PinError::Chain => Some("the root was replaced, or the keys are not the broker's: ask its operator, by another way, for the fingerprint that `hsm-gateway status` shows"),
            PinError::NotYetValid | PinError::Expired => Some("compare this machine's clock; a copy of the keys may be old"),
            _ => None,
        },
        ..refused(Check::Certificate, error)
    })
}

fn leaf_key(jwk: &JsonObject) -> Option<LeafKey> {
    let bytes = |name| {
        crate::client::decode(jwk.get(name)?.as_text()?)?
            .try_into()
            .ok()
    };
    match jwk.get("crv")?.as_text()? {
        "Ed25519" => Some(LeafKey::Ed25519(bytes("x")?)),
        "P-256" => Some(LeafKey::P256 {
            x: bytes("x")?,
            y: bytes("y")?,
        }),
        _ => None,
    }
}

/// When the token expires.
fn claims(payload: &[u8], expected: &Expected<'_>) -> Result<u64, Refused> {
    let wrong = |text: &str| refused(Check::Claims, text);
    let claims = JsonObject::parse(payload).map_err(|_| wrong("its claims are not strict JSON"))?;
    let text = |name| claims.get(name).and_then(Json::as_text);
    let time = |name| match claims.get(name) {
        Some(Json::Integer(time)) => u64::try_from(*time).ok(),
        Some(_) | None => None,
    };
    if text("iss") != Some(expected.issuer) {
        return Err(wrong("its `iss` is another"));
    }
    if text("aud") != Some(expected.audience) {
        return Err(wrong("its `aud` is another"));
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err(wrong("it has no `sub`"));
    }
    let expires = time("exp").ok_or_else(|| wrong("it has no `exp`"))?;
    if expires <= expected.now {
        return Err(wrong("it has expired"));
    }
    if claims.contains("nbf") && time("nbf").is_none_or(|start| start > expected.now) {
        return Err(wrong("it is not valid yet"));
    }
    Ok(expires)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
