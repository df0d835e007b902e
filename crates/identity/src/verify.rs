//! From an unverified token to a verified subject.

use vouchsafe_jose::{Algorithm, JsonObject, Malformed, UnverifiedJws};

use crate::claims::{self, CLAIMS_MAX};
use crate::error::{ClaimName, TokenError};
use crate::issuer::{KeySource, TrustedIssuer};
use crate::key_cache::{TrustedKeys, sha256_hex};
use crate::proofs::{Proof, ProofCache};
use crate::time::UnixSeconds;
use vouchsafe_providers::{Attribute, Profile};

/// What a token says of itself. Good for choosing an issuer's record and keys, for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    pub iss: Option<String>,
    /// The trust domain of a `sub` that is a SPIFFE ID, as an issuer: `spiffe://example.org`.
    pub trust_domain: Option<String>,
    pub kid: Option<String>,
    pub algorithm: Algorithm,
}

/// Accepted `typ` values, compared without case (RFC 7515 §4.1.9); an absent `typ` is accepted too.
/// Typed tokens of other protocols (`at+jwt`, `dpop+jwt`, `logout+jwt`, `secevent+jwt`, `wit+jwt`…) are
/// thereby refused (RFC 8725 §3.11).
const PLAIN_TYPES: [&str; 2] = ["JOSE", "JWT"];

/// Reads `iss`, `kid` and `alg` within the limits of a token, and believes nothing.
///
/// # Errors
/// The token can't be read, or says of no issuer that it is its own.
pub fn peek(token: &str) -> Result<Unverified, TokenError> {
    let jws = UnverifiedJws::parse(token)?;
    let claims = parse_claims(jws.payload())?;
    let iss = claims::stated_issuer_of(&claims)?.map(str::to_owned);
    let trust_domain = claims::trust_domain_of(&claims);
    if iss.is_none() && trust_domain.is_none() {
        return Err(TokenError::ClaimMissing(ClaimName::registered("iss")));
    }
    Ok(Unverified {
        iss,
        trust_domain,
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
    /// Absent from some JWT-SVIDs only.
    pub iat: Option<UnixSeconds>,
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
    verify_remembering(token, issuer, keys, now, &mut ProofCache::new())
}

/// As [`verify`], but without computing a signature anew that is in `proofs`. All else is checked
/// every time.
///
/// # Errors
/// The first check that failed.
pub fn verify_remembering(
    token: &str,
    issuer: &TrustedIssuer,
    keys: &TrustedKeys,
    now: UnixSeconds,
    proofs: &mut ProofCache,
) -> Result<VerifiedSubject, TokenError> {
    let jws = UnverifiedJws::parse(token)?;
    // ORDER: algorithm before key, signature before any claim is believed; then whose token it is,
    // whom it is for, when it is valid; what it says about the workload last.
    if !issuer.allows(jws.algorithm()) {
        return Err(TokenError::AlgorithmNotAllowed);
    }
    if !accepts_type(issuer.profile(), jws.typ()) {
        return Err(TokenError::TypeNotAllowed);
    }
    if issuer.profile() == Profile::JwtSvid && jws.has_other_members() {
        // SPIFFE JWT-SVID §2: nothing but `alg`, `kid` and `typ`.
        return Err(TokenError::Malformed(Malformed::HeaderMember));
    }
    let proof = require_signature(token, &jws, issuer, keys, now, proofs)?;
    let claims = parse_claims(jws.payload())?;
    claims::require_issuer(&claims, issuer)?;
    claims::require_audience(&claims, issuer)?;
    let lifetime = claims::require_lifetime(&claims, issuer, now)?;
    claims::require_bearer(&claims)?;
    claims::require_actor(&claims, issuer)?;
    let sub = claims::subject_of(&claims)?;
    let jti = claims::token_id_of(&claims)?;
    let attributes = vouchsafe_providers::attributes(issuer.claims(), &claims)?;
    claims::require_values(issuer, sub, &attributes)?;
    let subject = Subject {
        issuer_name: issuer.name().to_owned(),
        iss: issuer.issuer().to_owned(),
        sub: sub.to_owned(),
        subject: subject(issuer, sub, &attributes)?,
        jti: jti.map(str::to_owned),
        exp: lifetime.exp,
        iat: lifetime.iat,
        signing_input_digest: sha256_hex(jws.signing_input().as_bytes()),
        entity_type: issuer.entity_type(),
        entity_id: sub.to_owned(),
        attributes,
    };
    if let Some(proof) = proof {
        let until = lifetime.exp.plus(issuer.leeway_seconds()).min(keys.until());
        proofs.remember(proof, until, now);
    }
    Ok(VerifiedSubject(subject))
}

/// SPIFFE compares `typ` with case (JWT-SVID §2.3).
fn accepts_type(profile: Profile, typ: Option<&str>) -> bool {
    typ.is_none_or(|typ| {
        PLAIN_TYPES.iter().any(|plain| match profile {
            Profile::Jwt => plain.eq_ignore_ascii_case(typ),
            Profile::JwtSvid => *plain == typ,
        })
    })
}

/// Proves the signature, and gives the name under which that may be remembered unless it was.
fn require_signature(
    token: &str,
    jws: &UnverifiedJws<'_>,
    issuer: &TrustedIssuer,
    keys: &TrustedKeys,
    now: UnixSeconds,
    proofs: &ProofCache,
) -> Result<Option<Proof>, TokenError> {
    let pinned_expired =
        matches!(issuer.keys(), KeySource::Pinned(pinned) if now >= pinned.expires);
    let set = keys
        .at(now)
        .filter(|_| !pinned_expired)
        .ok_or(TokenError::KeyUnusable)?;
    let key = set.find(jws.kid(), jws.algorithm())?;
    let proof = Proof::of(token, issuer, keys.digest());
    if proofs.holds(&proof, now) {
        return Ok(None);
    }
    key.verify(jws.signing_input().as_bytes(), jws.signature())?;
    Ok(Some(proof))
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
    let subject = template.fill(|name| claims::text_of(sub, attributes, name))?;
    claims::require_subject_limits(&subject)?;
    Ok(subject)
}

#[cfg(test)]
#[path = "verify_tests/mod.rs"]
mod tests;
