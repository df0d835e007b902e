//! The checks of one token, in order.

use crate::error::{Check, VerificationError};
use crate::keys::Keys;
use vouchsafe_claims::is_unprintable;
use vouchsafe_jose::{Algorithm, Json, JsonObject, UnverifiedJws};
use vouchsafe_x509::{PinnedLeaf, PinnedRoot};

/// The header's `typ` of an access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYP: &str = "at+jwt";
/// The `typ` of any other JWT that a broker issues on request.
pub const JWT_TYP: &str = "JWT";
/// How far the clocks of broker and API may differ by default.
const LEEWAY_SECONDS: u64 = 5;
/// Longest claim in a message.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// What a valid token must have.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Compared exactly.
    pub issuer: &'a str,
    /// Compared exactly; the token has no other.
    pub audience: &'a str,
    /// The token must have all of them.
    pub scopes: &'a [&'a str],
    pub algorithms: &'a [Algorithm],
    /// The header's `typ` is one of them.
    pub typs: &'a [&'a str],
    pub leeway_seconds: u64,
    /// The root whose certificates are trusted; without it, the JWK Set is.
    pub root: Option<&'a PinnedRoot>,
}

impl<'a> Rules<'a> {
    /// The usual rules of an API: access tokens with ES256.
    #[must_use]
    pub const fn access_token(issuer: &'a str, audience: &'a str) -> Self {
        Self {
            issuer,
            audience,
            scopes: &[],
            algorithms: &[Algorithm::Es256],
            typs: &[ACCESS_TOKEN_TYP],
            leeway_seconds: LEEWAY_SECONDS,
            root: None,
        }
    }
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

/// Verifies `token` with the key that its `kid` names, at `now` in Unix seconds.
///
/// # Errors
/// The first check that fails.
//
// ORDER: the header before the key, the certificate before the key is used, the signature before any claim has an effect.
pub fn verify(token: &str, keys: &Keys, rules: &Rules<'_>, now: u64) -> Result<VerifiedToken, VerificationError> {
    let jws = parse_allowed(token, rules)?;
    let mut pinned = None;
    let kid = verify_jws(&jws, keys, |kid| {
        if let Some(root) = rules.root {
            pinned = Some(keys.certified(kid, root, rules.issuer, now)?);
        }
        Ok(())
    })?;
    let expires = verify_claims(jws.payload(), rules, now)?;
    let claims = serde_json::from_slice(jws.payload())
        .map_err(|_| VerificationError::new(Check::Claims, "claims are not JSON"))?;
    Ok(VerifiedToken { algorithm: jws.algorithm().name(), kid, pinned, claims, expires })
}

/// Checks what can be checked without keys, so that no fetch is needed for a token that no key would help.
///
/// # Errors
/// [`Check::Token`].
pub fn check_header(token: &str, rules: &Rules<'_>) -> Result<(), VerificationError> {
    parse_allowed(token, rules).map(drop)
}

fn parse_allowed(token: &str, rules: &Rules<'_>) -> Result<UnverifiedJws, VerificationError> {
    let jws = parse(token)?;
    if !jws.typ().is_some_and(|typ| rules.typs.contains(&typ)) {
        return Err(VerificationError::new(Check::Token, format!("`typ` is not {}", rules.typs.join(" or "))));
    }
    if !rules.algorithms.contains(&jws.algorithm()) {
        return Err(VerificationError::new(Check::Token, format!("`alg` {} is not allowed", jws.algorithm())));
    }
    Ok(jws)
}

/// Verifies only the signature of a JWS.
///
/// # Errors
/// The first check that fails.
pub fn verify_signature(token: &str, keys: &Keys) -> Result<(), VerificationError> {
    verify_jws(&parse(token)?, keys, |_| Ok(())).map(drop)
}

fn parse(token: &str) -> Result<UnverifiedJws, VerificationError> {
    UnverifiedJws::parse(token).map_err(|error| VerificationError::new(Check::Token, error))
}

/// Verifies the signature after `check_kid`, and returns the `kid`.
pub(crate) fn verify_jws(
    jws: &UnverifiedJws,
    keys: &Keys,
    check_kid: impl FnOnce(&str) -> Result<(), VerificationError>,
) -> Result<String, VerificationError> {
    let kid = jws.kid().ok_or_else(|| VerificationError::new(Check::Token, "no `kid`"))?;
    let key = keys.find(kid, jws.algorithm())?;
    check_kid(kid)?;
    key.verify(jws.signing_input().as_bytes(), jws.signature())
        .map_err(|error| VerificationError::new(Check::Signature, error))?;
    Ok(kid.to_owned())
}

/// Verifies the claims, and returns when the token expires.
fn verify_claims(payload: &[u8], rules: &Rules<'_>, now: u64) -> Result<u64, VerificationError> {
    let wrong = |reason: &str| VerificationError::new(Check::Claims, reason);
    let claims = JsonObject::parse(payload).map_err(|_| wrong("claims are not strict JSON"))?;
    let text = |name| claims.get(name).and_then(Json::as_text);
    let time = |name| match claims.get(name) {
        Some(Json::Integer(time)) => u64::try_from(*time).ok(),
        Some(_) | None => None,
    };
    for (name, expected) in [("iss", rules.issuer), ("aud", rules.audience)] {
        if text(name) != Some(expected) {
            return Err(wrong(&format!("`{name}` is {}, not `{expected}`", show(payload, name))));
        }
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err(wrong("`sub` is missing"));
    }
    let expires = time("exp").ok_or_else(|| wrong("`exp` is missing"))?;
    if expires.saturating_add(rules.leeway_seconds) <= now {
        return Err(wrong("expired"));
    }
    let latest = now.saturating_add(rules.leeway_seconds);
    if claims.contains("nbf") && time("nbf").is_none_or(|start| start > latest) {
        return Err(wrong("not valid yet"));
    }
    let has = |scope: &str| text("scope").is_some_and(|granted| granted.split(' ').any(|it| it == scope));
    match rules.scopes.iter().find(|scope| !has(scope)) {
        Some(scope) => Err(VerificationError::new(Check::Scope, format!("the scope `{scope}` is missing"))),
        None => Ok(expires),
    }
}

/// A claim for a message, without what moves the cursor or reorders text.
fn show(payload: &[u8], name: &str) -> String {
    let claims: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    let text = match claims.get(name) {
        None => return "missing".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let visible = |c| if is_unprintable(c) { '\u{fffd}' } else { c };
    format!("`{}`", text.chars().take(SHOWN_CHARACTERS_MAX).map(visible).collect::<String>())
}
