//! Checks of a request against the signer's own configuration.
//!
//! They don't trust the caller: a compromised broker gets no more than the configuration allows.

use vouchsafe_claims::{ClaimNames, NameFault, is_thumbprint, is_unprintable};
use vouchsafe_json::Json;

use crate::algorithm::Algorithm;
use crate::config::{Audiences, Config};
use crate::error::{Ceiling, Error, Variable};
use vouchsafe_types::{
    ACTORS_BYTES_MAX, ACTORS_MAX, Actor, Audience, ExtraClaim, STATUS_LIST_INDEXES, SigningRequest, StatusReference,
    TXN_BYTES_MAX, Tier, UnixSeconds, is_status_list_name,
};

/// How far `iat` may be from the signer's clock, either way.
pub const ISSUED_AT_SKEW_SECONDS_MAX: u64 = 15;
/// Longest `sub`: an issuer's name and its subject (at most 1 KiB), or the result of a subject template.
pub const SUBJECT_BYTES_MAX: usize = 1_280;
pub const AUDIENCE_BYTES_MAX: usize = 1_024;
pub const JTI_BYTES_MAX: usize = 128;
pub const SCOPES_MAX: usize = 32;
pub const SCOPE_BYTES_MAX: usize = 256;
pub const EXTRA_CLAIMS_MAX: usize = 32;
pub const EXTRA_CLAIM_BYTES_MAX: usize = 4_096;

/// A request within every ceiling, ready to be signed.
///
/// INVARIANT: only [`Config::allow`] makes one.
pub struct AllowedToken<'r> {
    pub(crate) request: &'r SigningRequest,
    pub(crate) expires_at: UnixSeconds,
}

impl Config {
    /// Checks `request` against every ceiling except tier and algorithm, which depend on where the keys are.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first ceiling that `request` exceeds.
    pub fn allow<'r>(&self, request: &'r SigningRequest, now: UnixSeconds) -> Result<AllowedToken<'r>, Error> {
        if request.issuer != self.issuer.as_str() {
            return Err(Error::Refused(Ceiling::Issuer));
        }
        allow_audience(self, &request.audience)?;
        let expires_at = lifetime(self, request, now)?;
        text(&request.subject, SUBJECT_BYTES_MAX, Ceiling::Subject)?;
        text(&request.jti, JTI_BYTES_MAX, Ceiling::Jti)?;
        scopes(&request.scopes)?;
        extra_claims(&request.extra_claims)?;
        key_thumbprint(request.key_thumbprint.as_deref())?;
        actors(&request.actors)?;
        request.txn.as_ref().map_or(Ok(()), |txn| text(txn, TXN_BYTES_MAX, Ceiling::Txn))?;
        status(request)?;
        Ok(AllowedToken { request, expires_at })
    }

    /// What this configuration refuses of the tokens for `audience`, for the operator. `hsm_algorithms` are those of tier
    /// `hsm`, if this kind of signer offers it.
    #[must_use]
    pub fn conflict(&self, audience: &Audience, hsm_algorithms: Option<&[&str]>) -> Option<String> {
        let (id, algorithm, longest) = (&audience.id, &audience.algorithm, self.lifetime_seconds_max);
        let (variable, offered) = match (audience.tier, hsm_algorithms) {
            (Tier::Delegated, _) => (Variable::SignerAlgorithms, self.epoch_algorithm(algorithm).is_ok()),
            (Tier::Hsm, Some(offered)) => (Variable::SignerHsmAlgorithms, offered.contains(&algorithm.as_str())),
            (Tier::Hsm, None) => return Some(format!("audience `{id}` has tier `hsm`, and the signer has no HSM")),
        };
        if allow_audience(self, id).is_err() {
            Some(format!("audience `{id}` is beyond `signer_audiences`"))
        } else if !offered {
            Some(format!("algorithm `{algorithm}` of audience `{id}` is not in `{variable}`"))
        } else if audience.max_lifetime_seconds > longest {
            let most = audience.max_lifetime_seconds;
            Some(format!("`max_lifetime` of audience `{id}`, {most} s, is over `signer_lifetime_max`, {longest} s"))
        } else {
            None
        }
    }

    /// The algorithm of an epoch key, if it is configured.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn epoch_algorithm(&self, name: &str) -> Result<Algorithm, Error> {
        Algorithm::from_name(name)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or(Error::Refused(Ceiling::Algorithm))
    }
}

fn allow_audience(config: &Config, audience: &str) -> Result<(), Error> {
    text(audience, AUDIENCE_BYTES_MAX, Ceiling::AudienceText)?;
    match &config.audiences {
        Audiences::Any => Ok(()),
        Audiences::Listed(listed) if listed.contains(audience) => Ok(()),
        Audiences::Listed(_) => Err(Error::Refused(Ceiling::Audience)),
    }
}

fn lifetime(config: &Config, request: &SigningRequest, now: UnixSeconds) -> Result<UnixSeconds, Error> {
    if request.issued_at.abs_diff(now.0) > ISSUED_AT_SKEW_SECONDS_MAX {
        return Err(Error::Refused(Ceiling::IssuedAt));
    }
    if !(1..=config.lifetime_seconds_max).contains(&request.lifetime_seconds) {
        return Err(Error::Refused(Ceiling::Lifetime));
    }
    let expires_at = request.issued_at.checked_add(request.lifetime_seconds);
    expires_at.map(UnixSeconds).ok_or(Error::Refused(Ceiling::Lifetime))
}

fn text(text: &str, bytes_max: usize, ceiling: Ceiling) -> Result<(), Error> {
    let sane = !text.is_empty() && text.len() <= bytes_max && !text.chars().any(is_unprintable);
    if sane { Ok(()) } else { Err(Error::Refused(ceiling)) }
}

fn scopes(scopes: &[String]) -> Result<(), Error> {
    if scopes.len() > SCOPES_MAX {
        return Err(Error::Refused(Ceiling::ScopesTooMany));
    }
    if scopes.iter().all(|scope| is_scope_token(scope) && scope.len() <= SCOPE_BYTES_MAX) {
        Ok(())
    } else {
        Err(Error::Refused(Ceiling::Scope))
    }
}

/// `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 §3.3).
fn is_scope_token(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn extra_claims(claims: &[ExtraClaim]) -> Result<(), Error> {
    if claims.len() > EXTRA_CLAIMS_MAX {
        return Err(Error::Refused(Ceiling::ExtraClaimsTooMany));
    }
    let mut names = ClaimNames::of_issued_token();
    for claim in claims {
        names.add(&claim.name).map_err(refused_name)?;
        extra_claim(claim)?;
    }
    Ok(())
}

fn key_thumbprint(thumbprint: Option<&str>) -> Result<(), Error> {
    if thumbprint.is_none_or(is_thumbprint) { Ok(()) } else { Err(Error::Refused(Ceiling::KeyThumbprint)) }
}

/// The list is one of this broker's own. The relying parties of views know no status.
fn status(request: &SigningRequest) -> Result<(), Error> {
    let fits = |status: &StatusReference| {
        request.view.is_none() && is_status_list_name(&status.list) && status.index < STATUS_LIST_INDEXES
    };
    if request.status.as_ref().is_none_or(fits) { Ok(()) } else { Err(Error::Refused(Ceiling::Status)) }
}

/// An actor is known by both members (RFC 8693 §4.1).
fn actors(actors: &[Actor]) -> Result<(), Error> {
    let bytes = actors.iter().map(|actor| actor.iss.len().saturating_add(actor.sub.len()));
    if actors.len() > ACTORS_MAX || bytes.sum::<usize>() > ACTORS_BYTES_MAX {
        return Err(Error::Refused(Ceiling::Actors));
    }
    let mut members = actors.iter().flat_map(|actor| [&actor.iss, &actor.sub]);
    members.try_for_each(|member| text(member, ACTORS_BYTES_MAX, Ceiling::Actors))
}

fn refused_name(fault: NameFault) -> Error {
    Error::Refused(match fault {
        NameFault::Malformed => Ceiling::ExtraClaimName,
        NameFault::Registered => Ceiling::ExtraClaimRegistered,
        NameFault::Repeated => Ceiling::ExtraClaimRepeated,
    })
}

fn extra_claim(claim: &ExtraClaim) -> Result<(), Error> {
    // ORDER: length before parsing.
    if claim.value.len() > EXTRA_CLAIM_BYTES_MAX {
        return Err(Error::Refused(Ceiling::ExtraClaimTooLong));
    }
    if Json::parse(claim.value.as_bytes()).is_err() {
        return Err(Error::Refused(Ceiling::ExtraClaimNotJson));
    }
    Ok(())
}
