//! Verification: from an unverified token to a verified subject.

use vouchsafe_jose::{JsonObject, KeySet, Malformed, UnverifiedJws};
use vouchsafe_providers::Profile;
use vouchsafe_types::{Attribute, KeySource, Principal, Subject, UnixSeconds};

use crate::actors;
use crate::claims::{self, CLAIMS_MAX, Lifetime};
use crate::error::{ClaimName, TokenError};
use crate::issuer::TrustedIssuer;
use crate::proofs::{Proof, ProofCache};
use crate::trusted_keys::{TrustedKeys, sha256_hex};

/// Accepted `typ` values, compared without case (RFC 7515 §4.1.9); an absent `typ` is accepted too. Typed tokens of
/// other protocols (`at+jwt`, `dpop+jwt`, `logout+jwt`, `secevent+jwt`, `wit+jwt`…) are therefore refused (RFC 8725
/// §3.11).
const PLAIN_TYPES: [&str; 2] = ["JOSE", "JWT"];
/// The `typ` of a client assertion (draft-ietf-oauth-rfc7523bis). Clients of RFC 7523 send `JWT` or none.
const CLIENT_ASSERTION_TYPE: &str = "client-authentication+jwt";

/// A parsed but unverified token.
///
/// ```
/// use vouchsafe_identity::UnverifiedToken;
///
/// let error = UnverifiedToken::parse("not-a-jws").err();
/// assert_eq!(error.map(|error| error.slug()), Some("token.malformed"));
/// ```
#[derive(Debug)]
pub struct UnverifiedToken {
    jws: UnverifiedJws,
    claims: JsonObject,
    issuers: Vec<String>,
}

impl UnverifiedToken {
    /// Parses a compact JWS within the limits of a token.
    ///
    /// # Errors
    /// The token is malformed or names no issuer.
    pub fn parse(token: impl Into<String>) -> Result<Self, TokenError> {
        let jws = UnverifiedJws::parse(token)?;
        let claims = parse_claims(jws.payload())?;
        let iss = claims::stated_issuer_of(&claims)?.map(str::to_owned);
        let issuers: Vec<_> = iss.into_iter().chain(claims::trust_domain_of(&claims)).collect();
        if issuers.is_empty() {
            return Err(TokenError::ClaimMissing(ClaimName::registered("iss")));
        }
        Ok(Self { jws, claims, issuers })
    }

    /// The issuers that the token names, in lookup order: `iss`, then the trust domain of a `sub` that is a SPIFFE ID
    /// (`spiffe://example.org`). At least one; only for choosing an issuer's record and keys.
    #[must_use]
    pub fn issuers(&self) -> &[String] {
        &self.issuers
    }

    pub(crate) fn jws(&self) -> &UnverifiedJws {
        &self.jws
    }

    pub(crate) fn claims(&self) -> &JsonObject {
        &self.claims
    }

    /// Verifies that the token is from `issuer`, by its `keys`, at `now`. A signature in `proofs` is not verified
    /// again; everything else is always checked.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(
        &self,
        issuer: &TrustedIssuer,
        keys: &TrustedKeys,
        now: UnixSeconds,
        proofs: &mut ProofCache,
    ) -> Result<VerifiedSubject, TokenError> {
        let (jws, claims) = (&self.jws, &self.claims);
        // ORDER: algorithm before key, signature before any claim; then issuer, audience and times; the workload's
        // claims last.
        if !issuer.allows(jws.algorithm()) {
            return Err(TokenError::AlgorithmNotAllowed);
        }
        if !accepts_type(issuer.profile(), jws.typ()) {
            return Err(TokenError::TypeNotAllowed);
        }
        if issuer.profile() == Profile::JwtSvid && jws.has_other_members() {
            // SPIFFE JWT-SVID §2: only `alg`, `kid` and `typ`.
            return Err(TokenError::Malformed(Malformed::HeaderMember));
        }
        let proof = require_signature(jws, issuer, keys, now, proofs)?;
        claims::require_issuer(claims, issuer)?;
        claims::require_audience(claims, issuer)?;
        let lifetime = claims::require_lifetime(claims, issuer, now)?;
        let key_thumbprint = claims::key_thumbprint(claims)?;
        if !issuer.allow_act() {
            actors::require_none(claims)?;
        }
        let subject = subject(jws, claims, issuer, &lifetime, key_thumbprint)?;
        if let Some(proof) = proof {
            let until = lifetime.exp.plus(issuer.leeway_seconds()).min(keys.until());
            proofs.remember(proof, until, now);
        }
        Ok(VerifiedSubject(subject))
    }
}

/// Proof that every check of [`verify`] passed. Only that function can create one:
///
/// ```compile_fail,E0423
/// fn forge(subject: vouchsafe_types::Subject) -> vouchsafe_identity::VerifiedSubject {
///     vouchsafe_identity::VerifiedSubject(subject)
/// }
/// ```
///
/// and it cannot be duplicated:
///
/// ```compile_fail,E0308
/// fn twice(proof: &vouchsafe_identity::VerifiedSubject) -> vouchsafe_identity::VerifiedSubject {
///     proof.clone()
/// }
/// ```
// INVARIANT: created by `verify` only; neither `Clone` nor deserializable.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedSubject(Subject);

impl VerifiedSubject {
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0
    }

    /// Consumes the proof and returns its content, to pass it across a component boundary.
    #[must_use]
    pub fn into_subject(self) -> Subject {
        self.0
    }
}

/// Verifies that `token` is from `issuer`, by its `keys`, at `now`.
///
/// # Errors
/// The first check that failed.
pub fn verify(
    token: &str,
    issuer: &TrustedIssuer,
    keys: &TrustedKeys,
    now: UnixSeconds,
) -> Result<VerifiedSubject, TokenError> {
    UnverifiedToken::parse(token)?.verify(issuer, keys, now, &mut ProofCache::new())
}

/// SPIFFE compares `typ` case-sensitively (JWT-SVID §2.3).
fn accepts_type(profile: Profile, typ: Option<&str>) -> bool {
    typ.is_none_or(|typ| match profile {
        Profile::Jwt => is_plain(typ),
        Profile::ClientAssertion => is_plain(typ) || typ.eq_ignore_ascii_case(CLIENT_ASSERTION_TYPE),
        Profile::JwtSvid => PLAIN_TYPES.contains(&typ),
    })
}

fn is_plain(typ: &str) -> bool {
    PLAIN_TYPES.iter().any(|plain| plain.eq_ignore_ascii_case(typ))
}

/// Verifies the signature; returns the proof to remember, unless it is cached already.
fn require_signature(
    jws: &UnverifiedJws,
    issuer: &TrustedIssuer,
    keys: &TrustedKeys,
    now: UnixSeconds,
    proofs: &ProofCache,
) -> Result<Option<Proof>, TokenError> {
    let pinned_expired = matches!(issuer.keys(), KeySource::Pinned(pinned) if now.0 >= pinned.expires);
    // A key set of another issuer may have been accepted for another use.
    let fits = |set: &&KeySet| !pinned_expired && set.key_use() == issuer.key_use();
    let set = keys.at(now).filter(fits).ok_or(TokenError::KeyUnusable)?;
    let key = set.find(jws.kid(), jws.algorithm())?;
    let proof = Proof::of(jws.token(), issuer, keys.digest());
    if proofs.holds(&proof, now) {
        return Ok(None);
    }
    key.verify(jws.signing_input().as_bytes(), jws.signature())?;
    Ok(Some(proof))
}

fn parse_claims(payload: &[u8]) -> Result<JsonObject, TokenError> {
    let claims = JsonObject::parse(payload).map_err(|error| TokenError::Malformed(Malformed::Payload(error)))?;
    if claims.len() > CLAIMS_MAX {
        return Err(TokenError::Malformed(Malformed::TooManyClaims));
    }
    Ok(claims)
}

fn subject(
    jws: &UnverifiedJws,
    claims: &JsonObject,
    issuer: &TrustedIssuer,
    lifetime: &Lifetime,
    key_thumbprint: Option<String>,
) -> Result<Subject, TokenError> {
    let sub = claims::subject_of(claims)?;
    let jti = claims::token_id_of(claims)?;
    let attributes = vouchsafe_providers::attributes(issuer.claims(), claims)?;
    claims::require_values(issuer, sub, &attributes)?;
    Ok(Subject {
        iss: issuer.issuer().to_owned(),
        name: subject_name(issuer, sub, &attributes)?,
        jti: jti.map(str::to_owned),
        exp: lifetime.exp.0,
        iat: lifetime.iat.map(|iat| iat.0),
        signing_input_digest: sha256_hex(jws.signing_input().as_bytes()),
        key_thumbprint,
        actors: actors::actors_of(claims, issuer.issuer())?,
        may_act: actors::may_act_of(claims, issuer.issuer())?,
        scopes: actors::scopes_of(claims),
        txn: claims::transaction_of(claims).map(str::to_owned),
        principal: Principal {
            entity_type: issuer.entity_type(),
            id: sub.to_owned(),
            issuer_name: issuer.name().to_owned(),
            attributes,
        },
    })
}

fn subject_name(issuer: &TrustedIssuer, sub: &str, attributes: &[Attribute]) -> Result<String, TokenError> {
    let Some(template) = issuer.subject_template() else {
        return Ok(sub.to_owned());
    };
    let name = template.fill(|name| claims::text_of(sub, attributes, name))?;
    claims::require_subject_limits(&name)?;
    Ok(name)
}

#[cfg(test)]
#[path = "verify_tests/mod.rs"]
mod tests;
