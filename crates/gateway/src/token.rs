//! Checks of a token that an HSM key is asked to sign.
//!
//! The gateway enforces tier `hsm`: a thief of a credential can send anything. So it signs nothing unless it
//! understands every member.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vouchsafe_claims::{is_thumbprint, is_unprintable};
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_signer::{
    AUDIENCE_BYTES_MAX, EXTRA_CLAIM_BYTES_MAX, JTI_BYTES_MAX, NOT_BEFORE_SECONDS, SCOPE_BYTES_MAX, SCOPES_MAX,
    SUBJECT_BYTES_MAX,
};
use vouchsafe_types::{
    ACTORS_BYTES_MAX, ACTORS_MAX, STATUS_LIST_INDEXES, TXN_BYTES_MAX, is_status_list_name, status_list_url,
};

use crate::canary::Workload;
use crate::refusal::{Refusal, TokenError};
use crate::rules::KeyRule;
use crate::timing::CLOCK_SKEW_SECONDS_MAX;
use crate::wire::SignRequest;

/// Longest `BASE64URL(header) . BASE64URL(payload)`.
pub const SIGNING_INPUT_BYTES_MAX: usize = 16 * 1024;
/// How far `iat` may be from the gateway's clock: the signer allows 15 s from its own clock, which may differ by
/// [`CLOCK_SKEW_SECONDS_MAX`].
const ISSUED_AT_SKEW_SECONDS_MAX: u64 = vouchsafe_signer::ISSUED_AT_SKEW_SECONDS_MAX + CLOCK_SKEW_SECONDS_MAX;

/// Allowed values of `typ` in the header.
const TYPS: [&str; 2] = ["at+jwt", "JWT"];

/// Claims that every token has; only `act`, `cnf`, `scope`, `status` and `txn` are optional. The key must allow all others.
const CLAIMS: [&str; 13] =
    ["act", "aud", "client_id", "cnf", "exp", "iat", "iss", "jti", "nbf", "scope", "status", "sub", "txn"];

/// A signing input that the key's rule allows.
///
/// INVARIANT: only [`SigningInput::check`] creates one.
pub struct SigningInput {
    text: String,
    kid: String,
    /// `typ` in the header.
    typ: &'static str,
    jti: String,
    audience: String,
    lifetime_seconds: u64,
    workload: Option<Workload>,
}

impl std::fmt::Debug for SigningInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningInput(..)")
    }
}

impl SigningInput {
    /// Checks header and payload of `request` against `rule` at `now` (Unix seconds). The `kid` must be that of a
    /// published version of the key, but the caller can't choose which version signs.
    ///
    /// # Errors
    /// [`Refusal::Token`], or [`Refusal::KeyVersion`] if the header names no published version.
    pub fn check(
        request: SignRequest,
        rule: &KeyRule,
        is_published: impl FnOnce(&str) -> bool,
        now: u64,
    ) -> Result<Self, Refusal> {
        let text = request.signing_input;
        // ORDER: size before decoding, the whole form before any member.
        if text.len() > SIGNING_INPUT_BYTES_MAX {
            return Err(TokenError::Malformed.into());
        }
        let (header, payload) = text.split_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = (object(header)?, object(payload)?);
        let (kid, typ) = check_header(&header, rule)?;
        if !is_published(&kid) {
            return Err(Refusal::KeyVersion);
        }
        check_names(&payload, rule)?;
        let (jti, audience) = check_registered(&payload, rule)?;
        let lifetime_seconds = check_times(&payload, rule, now)?;
        Ok(Self { text, kid, typ, jti, audience, lifetime_seconds, workload: request.workload })
    }

    /// The signing input for the version `kid` of the key: the payload with a header that names it.
    #[must_use]
    pub fn signed_by(&self, rule: &KeyRule, kid: &str) -> String {
        if kid == self.kid {
            return self.text.clone();
        }
        let payload = self.text.split_once('.').map_or("", |(_, payload)| payload);
        let header = vouchsafe_signer::header(rule.algorithm.name(), kid, self.typ);
        format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header))
    }

    /// The decision id.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    #[must_use]
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// From `iat` to `exp`.
    #[must_use]
    pub fn lifetime_seconds(&self) -> u64 {
        self.lifetime_seconds
    }

    /// The workload that the token is for, if the caller named one.
    #[must_use]
    pub fn workload(&self) -> Option<&Workload> {
        self.workload.as_ref()
    }
}

/// The unverified decision id in a signing input, for the record of a refusal.
#[must_use]
pub fn claimed_decision_id(signing_input: &str) -> Option<String> {
    if signing_input.len() > SIGNING_INPUT_BYTES_MAX {
        return None;
    }
    let (_, payload) = signing_input.split_once('.')?;
    let payload = object(payload).ok()?;
    let jti = payload.get("jti").and_then(Json::as_text)?;
    (jti.len() <= JTI_BYTES_MAX).then(|| jti.to_owned())
}

fn object(part: &str) -> Result<JsonObject, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    JsonObject::parse(&json).map_err(|_| TokenError::Malformed)
}

/// Checks that the header has exactly `alg`, `kid` and `typ`, and returns the last two.
fn check_header(header: &JsonObject, rule: &KeyRule) -> Result<(String, &'static str), TokenError> {
    let text = |name| header.get(name).and_then(Json::as_text);
    if text("alg") != Some(rule.algorithm.name()) {
        return Err(TokenError::Algorithm);
    }
    let typ = TYPS.into_iter().find(|typ| text("typ") == Some(typ));
    match (header.len(), text("kid"), typ) {
        (3, Some(kid), Some(typ)) => Ok((kid.to_owned(), typ)),
        _ => Err(TokenError::Type),
    }
}

/// Checks that every claim is one of [`CLAIMS`] or allowed by the key.
fn check_names(payload: &JsonObject, rule: &KeyRule) -> Result<(), TokenError> {
    for (name, value) in payload.iter() {
        if CLAIMS.contains(&name) {
            continue;
        }
        if !rule.claims.contains(name) || !is_plain(value) {
            return Err(TokenError::Claim);
        }
    }
    Ok(())
}

/// Whether a claim can be one that an audience copies from a verified identity: a string, an integer, a boolean or a list
/// of strings.
fn is_plain(value: &Json) -> bool {
    let short = |text: &str| text.len() <= EXTRA_CLAIM_BYTES_MAX;
    match value {
        Json::Boolean(_) | Json::Integer(_) => true,
        Json::Text(text) => short(text),
        Json::Array(items) => items.iter().all(|item| item.as_text().is_some_and(short)),
        Json::Float(_) | Json::Null | Json::Object(_) => false,
    }
}

/// Checks the registered claims other than times, and returns `jti` and `aud`.
fn check_registered(payload: &JsonObject, rule: &KeyRule) -> Result<(String, String), TokenError> {
    let text = |name, bytes_max: usize| {
        let text = payload.get(name).and_then(Json::as_text);
        let sane = |text: &&str| !text.is_empty() && text.len() <= bytes_max && !text.chars().any(is_unprintable);
        text.filter(sane).ok_or(TokenError::Claim)
    };
    if payload.get("iss").and_then(Json::as_text) != Some(rule.issuer.as_str()) {
        return Err(TokenError::Issuer);
    }
    // A list, even with one element, is not the same claim as the string.
    let audience = text("aud", AUDIENCE_BYTES_MAX).map_err(|_| TokenError::Audience)?;
    if !rule.audiences.contains(audience) {
        return Err(TokenError::Audience);
    }
    let subject = text("sub", SUBJECT_BYTES_MAX)?;
    if text("client_id", SUBJECT_BYTES_MAX)? != subject {
        return Err(TokenError::Claim);
    }
    if payload.contains("scope") {
        check_scope(text("scope", usize::MAX)?)?;
    }
    if let Some(act) = payload.get("act") {
        check_actors(act)?;
    }
    if let Some(cnf) = payload.get("cnf") {
        check_confirmation(cnf)?;
    }
    if let Some(status) = payload.get("status") {
        check_status(status, &rule.issuer)?;
    }
    if payload.contains("txn") {
        text("txn", TXN_BYTES_MAX)?;
    }
    let jti = text("jti", JTI_BYTES_MAX)?.to_owned();
    Ok((jti, audience.to_owned()))
}

/// Checks that `act` (RFC 8693 §4.1) has the form in which the signer writes it: `iss` and `sub` of each actor, and nothing
/// else.
fn check_actors(act: &Json) -> Result<(), TokenError> {
    let (mut next, mut actors, mut bytes) = (Some(act), 0_usize, 0_usize);
    while let Some(act) = next {
        let members = act.as_object().ok_or(TokenError::Claim)?;
        next = members.get("act");
        let text = |name| {
            let text = members.get(name).and_then(Json::as_text);
            text.filter(|text| !text.is_empty() && !text.chars().any(is_unprintable)).ok_or(TokenError::Claim)
        };
        let (iss, sub) = (text("iss")?, text("sub")?);
        actors = actors.saturating_add(1);
        bytes = bytes.saturating_add(iss.len()).saturating_add(sub.len());
        let has_more = members.len() > if next.is_some() { 3 } else { 2 };
        if has_more || actors > ACTORS_MAX || bytes > ACTORS_BYTES_MAX {
            return Err(TokenError::Claim);
        }
    }
    Ok(())
}

/// Checks that a confirmation (RFC 7800 §3.1) is the thumbprint of a key and nothing else (RFC 9449 §6.1).
fn check_confirmation(cnf: &Json) -> Result<(), TokenError> {
    let members = cnf.as_object().filter(|members| members.len() == 1).ok_or(TokenError::Claim)?;
    let thumbprint = members.get("jkt").and_then(Json::as_text);
    if thumbprint.is_some_and(is_thumbprint) { Ok(()) } else { Err(TokenError::Claim) }
}

/// Checks that `status` is an index of a status list of the issuer and nothing else.
fn check_status(status: &Json, issuer: &str) -> Result<(), TokenError> {
    let only = |object: &Json, names: usize| object.as_object().filter(|it| it.len() == names).cloned();
    let list = only(status, 1).and_then(|status| only(status.get("status_list")?, 2)).ok_or(TokenError::Claim)?;
    let (Some(Json::Integer(index)), Some(uri)) = (list.get("idx"), list.get("uri").and_then(Json::as_text)) else {
        return Err(TokenError::Claim);
    };
    let is_index = (0..i128::from(STATUS_LIST_INDEXES)).contains(index);
    let is_list =
        uri.rsplit_once('/').is_some_and(|(_, name)| is_status_list_name(name) && uri == status_list_url(issuer, name));
    if is_index && is_list { Ok(()) } else { Err(TokenError::Claim) }
}

/// Checks a scope (RFC 6749 §3.3) without duplicates.
fn check_scope(scope: &str) -> Result<(), TokenError> {
    let mut seen = BTreeSet::new();
    for token in scope.split(' ') {
        let legal = token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if !legal || token.is_empty() || token.len() > SCOPE_BYTES_MAX || !seen.insert(token) {
            return Err(TokenError::Claim);
        }
    }
    if seen.len() > SCOPES_MAX {
        return Err(TokenError::Claim);
    }
    Ok(())
}

/// Checks the times and returns the lifetime.
fn check_times(payload: &JsonObject, rule: &KeyRule, now: u64) -> Result<u64, TokenError> {
    let seconds = |name| match payload.get(name) {
        Some(Json::Integer(number)) => u64::try_from(*number).map_err(|_| TokenError::Times),
        Some(_) | None => Err(TokenError::Times),
    };
    let (iat, nbf, exp) = (seconds("iat")?, seconds("nbf")?, seconds("exp")?);
    if iat.abs_diff(now) > ISSUED_AT_SKEW_SECONDS_MAX {
        return Err(TokenError::Times);
    }
    if nbf != iat.saturating_sub(NOT_BEFORE_SECONDS) {
        return Err(TokenError::Times);
    }
    let lifetime = exp.checked_sub(iat).ok_or(TokenError::Lifetime)?;
    if !(1..=rule.lifetime_seconds_max).contains(&lifetime) {
        return Err(TokenError::Lifetime);
    }
    Ok(lifetime)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
