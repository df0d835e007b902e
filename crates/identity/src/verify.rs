//! From an unverified token to a verified subject.

use vouchsafe_jose::{Algorithm, JsonObject, Malformed, UnverifiedJws};

use crate::claims::{self, CLAIMS_MAX};
use crate::error::TokenError;
use crate::issuer::{KeySource, TrustedIssuer};
use crate::key_cache::{TrustedKeys, sha256_hex};
use crate::providers::{Attribute, AttributeValue};
use crate::time::UnixSeconds;

/// What a token says of itself. Good for choosing an issuer's record and keys, for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    pub iss: String,
    pub kid: Option<String>,
    pub algorithm: Algorithm,
}

/// Reads `iss`, `kid` and `alg` within the limits of a token, and believes nothing.
///
/// # Errors
/// The token can't be read, or has no `iss`.
pub fn peek(token: &str) -> Result<Unverified, TokenError> {
    let jws = UnverifiedJws::parse(token)?;
    let claims = parse_claims(jws.payload())?;
    Ok(Unverified {
        iss: claims::issuer_of(&claims)?.to_owned(),
        kid: jws.kid().map(str::to_owned),
        algorithm: jws.algorithm(),
    })
}

/// Who presented a token, once it is proved.
#[derive(Debug, PartialEq, Eq)]
pub struct Subject {
    pub issuer_name: String,
    pub iss: String,
    /// `sub` as the issuer wrote it.
    pub sub: String,
    /// `sub`, or what the issuer's template makes of the claims.
    pub subject: String,
    pub jti: Option<String>,
    pub exp: UnixSeconds,
    pub iat: UnixSeconds,
    /// Lower-case hex SHA-256 of the JWS signing input (RFC 7515 §5.1). Not of the whole token:
    /// an ECDSA signature has a second valid form, so that would be a second token.
    pub signing_input_digest: String,
    /// Cedar entity type.
    pub entity_type: String,
    /// Cedar entity id, unique within the issuer.
    pub entity_id: String,
    pub attributes: Vec<Attribute>,
}

/// Proof that every check of [`verify`] passed. Nobody else can make one:
///
/// ```compile_fail,E0423
/// fn forge(subject: vouchsafe_identity::Subject) -> vouchsafe_identity::VerifiedSubject {
///     vouchsafe_identity::VerifiedSubject(subject)
/// }
/// ```
///
/// nor have it twice:
///
/// ```compile_fail,E0308
/// fn twice(proof: &vouchsafe_identity::VerifiedSubject) -> vouchsafe_identity::VerifiedSubject {
///     proof.clone()
/// }
/// ```
// INVARIANT: made by `verify` only; neither `Clone` nor deserializable.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedSubject(Subject);

impl VerifiedSubject {
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0
    }

    /// Gives the proof up for its content, to send it over a seam.
    #[must_use]
    pub fn into_subject(self) -> Subject {
        self.0
    }
}

/// Proves `token` to be from `issuer`, by its `keys`, at `now`.
///
/// # Errors
/// The first check that failed.
pub fn verify(
    token: &str,
    issuer: &TrustedIssuer,
    keys: &TrustedKeys,
    now: UnixSeconds,
) -> Result<VerifiedSubject, TokenError> {
    let jws = UnverifiedJws::parse(token)?;
    // ORDER: algorithm before key, signature before any claim is believed; then whose token it is,
    // whom it is for, when it is valid; what it says about the workload last.
    if !issuer.allows(jws.algorithm()) {
        return Err(TokenError::AlgorithmNotAllowed);
    }
    if !issuer.provider().accepts_type(jws.typ()) {
        return Err(TokenError::TypeNotAllowed);
    }
    require_signature(&jws, issuer, keys, now)?;
    let claims = parse_claims(jws.payload())?;
    if claims::issuer_of(&claims)? != issuer.issuer() {
        return Err(TokenError::IssuerUntrusted);
    }
    claims::require_audience(&claims, issuer)?;
    let lifetime = claims::require_lifetime(&claims, issuer, now)?;
    let sub = claims::subject_of(&claims)?;
    let jti = claims::token_id_of(&claims)?;
    let attributes = issuer.provider().attributes(&claims)?;
    Ok(VerifiedSubject(Subject {
        issuer_name: issuer.name().to_owned(),
        iss: issuer.issuer().to_owned(),
        sub: sub.to_owned(),
        subject: subject(issuer, sub, &attributes)?,
        jti: jti.map(str::to_owned),
        exp: lifetime.exp,
        iat: lifetime.iat,
        signing_input_digest: sha256_hex(jws.signing_input().as_bytes()),
        entity_type: issuer.provider().entity_type(issuer.name()),
        entity_id: sub.to_owned(),
        attributes,
    }))
}

fn require_signature(
    jws: &UnverifiedJws<'_>,
    issuer: &TrustedIssuer,
    keys: &TrustedKeys,
    now: UnixSeconds,
) -> Result<(), TokenError> {
    let pinned_expired =
        matches!(issuer.keys(), KeySource::Pinned(pinned) if now >= pinned.expires);
    let set = keys
        .at(now)
        .filter(|_| !pinned_expired)
        .ok_or(TokenError::KeyUnusable)?;
    let key = set.find(jws.kid(), jws.algorithm())?;
    Ok(key.verify(jws.signing_input().as_bytes(), jws.signature())?)
}

fn parse_claims(payload: &[u8]) -> Result<JsonObject, TokenError> {
    let claims = JsonObject::parse(payload)
        .map_err(|error| TokenError::Malformed(Malformed::Payload(error)))?;
    if claims.len() > CLAIMS_MAX {
        return Err(TokenError::Malformed(Malformed::TooManyClaims));
    }
    Ok(claims)
}

fn subject(
    issuer: &TrustedIssuer,
    sub: &str,
    attributes: &[Attribute],
) -> Result<String, TokenError> {
    let Some(template) = issuer.subject_template() else {
        return Ok(sub.to_owned());
    };
    let subject = template.fill(|name| {
        if name == "sub" {
            Some(sub)
        } else {
            text_attribute(attributes, name)
        }
    })?;
    claims::require_subject_limits(&subject)?;
    Ok(subject)
}

fn text_attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find_map(|attribute| match &attribute.value {
            AttributeValue::Text(text) if attribute.name == name => Some(text.as_str()),
            AttributeValue::Text(_)
            | AttributeValue::Boolean(_)
            | AttributeValue::Integer(_)
            | AttributeValue::TextSet(_) => None,
        })
}

#[cfg(test)]
#[path = "verify_tests/mod.rs"]
mod tests;
