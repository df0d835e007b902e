//! Step 3: policy permits the request, and it is within the audience's limits.
//!
//! ORDER: policy is asked first, with at most what the audience offers, and the limits are compared afterwards. The
//! other way round, a caller without any permit could distinguish an audience that exists (`scope.not_offered`) from
//! one that does not.

use crate::audit::Audit;
use crate::failure::Failure;
use crate::limits::LIFETIME_SECONDS_MIN;
use crate::ports::Policy;
use crate::refusal::{Denial, Refusal, RequestFault};
use crate::verified::VerifiedExchange;
use std::net::IpAddr;
use std::rc::Rc;
use vouchsafe_types::{Audience, BundleInfo, Decision, Effect, TokenError, TokenRequest};

/// A verified request that policy permits. Only [`permit`] makes one.
pub struct PermittedExchange {
    pub(crate) verified: VerifiedExchange,
    pub(crate) audience: Rc<Audience>,
    pub(crate) lifetime_seconds: u64,
}

/// Asks policy, then compares the request with the audience's limits. The decision goes into `audit`.
pub fn permit(
    ports: &impl Policy,
    bundle: &BundleInfo,
    verified: VerifiedExchange,
    client_ip: Option<IpAddr>,
    audit: &mut Audit,
) -> Result<PermittedExchange, Failure> {
    let request = &verified.request;
    let audience = ports.audience(bundle, &request.audience)?;
    let audience = audience.ok_or(Refusal::Denied(Denial::AudienceUnknown))?;
    let question = TokenRequest {
        audience: audience.id.clone(),
        scopes: request
            .scopes
            .iter()
            .filter(|scope| audience.scopes.contains(scope))
            .cloned()
            .collect(),
        requested_lifetime_seconds: requested_seconds(&verified, &audience)
            .min(audience.max_lifetime_seconds),
        client_ip: client_ip.map(|address| address.to_string()),
        // There is no proof of possession yet: false, never guessed.
        proof_of_possession: false,
    };
    let decision = ports.decide(bundle, &verified.subject.principal, &question, verified.now)?;
    let lifetime_seconds = check(&verified, &audience, &decision);
    audit.note(decision);
    Ok(PermittedExchange {
        lifetime_seconds: lifetime_seconds?,
        verified,
        audience,
    })
}

fn requested_seconds(verified: &VerifiedExchange, audience: &Audience) -> u64 {
    verified
        .request
        .lifetime_seconds
        .unwrap_or(audience.default_lifetime_seconds)
}

/// The lifetime of the token to issue, in seconds.
fn check(
    verified: &VerifiedExchange,
    audience: &Audience,
    decision: &Decision,
) -> Result<u64, Refusal> {
    match decision.effect {
        Effect::Permit => {}
        Effect::Deny => return Err(Denial::PolicyDenied.into()),
    }
    if verified
        .request
        .scopes
        .iter()
        .any(|scope| !audience.scopes.contains(scope))
    {
        return Err(Denial::ScopeNotOffered.into());
    }
    let requested = requested_seconds(verified, audience);
    if requested > audience.max_lifetime_seconds {
        return Err(RequestFault::LifetimeOverCeiling.into());
    }
    if audience.outlive_subject {
        return Ok(requested);
    }
    // Within the leeway a subject token is still accepted after its `exp`; then it has no lifetime left to give.
    let left = verified.subject.exp.saturating_sub(verified.now);
    if left < LIFETIME_SECONDS_MIN {
        return Err(TokenError::Expired.into());
    }
    Ok(requested.min(left))
}
