//! Step 3: policy says yes, and the request is within the audience's limits.
//!
//! ORDER: policy is asked first, with what the audience offers at most, and the limits are
//! compared afterwards. The other way round, a caller without any permit could tell an audience
//! that exists (`scope.not_offered`) from one that does not.

use crate::limits::LIFETIME_SECONDS_MIN;
use crate::ports::{Audience, Bundle, Decision, Failure, Ports, Question};
use crate::refusal::{Denial, Refusal, RequestFault, TokenFault};
use crate::verified::VerifiedExchange;
use std::net::IpAddr;

/// A verified request that policy permits. Only [`permit`] makes one.
pub struct PermittedExchange<Record> {
    pub(crate) verified: VerifiedExchange<Record>,
    pub(crate) audience: Audience,
    pub(crate) lifetime_seconds: u64,
    pub(crate) decision: Decision,
}

/// A verified request that gets no token, with what is needed to record why.
pub struct DeniedExchange<Record> {
    pub(crate) verified: VerifiedExchange<Record>,
    /// Absent where nothing was asked, because there is no such audience.
    pub(crate) decision: Option<Decision>,
    pub(crate) failure: Failure,
}

/// Asks policy, then compares the request with the audience's limits.
pub async fn permit<P: Ports>(
    ports: &P,
    bundle: &Bundle,
    verified: VerifiedExchange<P::Record>,
    client_ip: Option<IpAddr>,
) -> Result<PermittedExchange<P::Record>, Box<DeniedExchange<P::Record>>> {
    let (audience, decision) = match ask(ports, bundle, &verified, client_ip).await {
        Ok(answer) => answer,
        Err(failure) => {
            return Err(Box::new(DeniedExchange {
                verified,
                decision: None,
                failure,
            }));
        }
    };
    match check(&verified, &audience, &decision) {
        Ok(lifetime_seconds) => Ok(PermittedExchange {
            verified,
            audience,
            lifetime_seconds,
            decision,
        }),
        Err(refusal) => {
            let failure = refusal.into();
            Err(Box::new(DeniedExchange {
                verified,
                decision: Some(decision),
                failure,
            }))
        }
    }
}

async fn ask<P: Ports>(
    ports: &P,
    bundle: &Bundle,
    verified: &VerifiedExchange<P::Record>,
    client_ip: Option<IpAddr>,
) -> Result<(Audience, Decision), Failure> {
    let request = &verified.request;
    let audience = ports.audience(bundle, &request.audience).await?;
    let audience = audience.ok_or(Refusal::Denied(Denial::AudienceUnknown))?;
    let question = Question {
        audience: audience.id.clone(),
        scopes: request
            .scopes
            .iter()
            .filter(|scope| audience.scopes.contains(scope))
            .cloned()
            .collect(),
        requested_lifetime_seconds: wanted(verified, &audience).min(audience.max_lifetime_seconds),
        client_ip,
    };
    let decision = ports
        .decide(bundle, &verified.subject, &question, verified.now)
        .await?;
    Ok((audience, decision))
}

fn wanted<Record>(verified: &VerifiedExchange<Record>, audience: &Audience) -> u64 {
    verified
        .request
        .lifetime_seconds
        .unwrap_or(audience.default_lifetime_seconds)
}

/// Gives the life of the token to issue, in seconds.
fn check<Record>(
    verified: &VerifiedExchange<Record>,
    audience: &Audience,
    decision: &Decision,
) -> Result<u64, Refusal> {
    if !decision.permitted {
        return Err(Denial::PolicyDenied.into());
    }
    if verified
        .request
        .scopes
        .iter()
        .any(|scope| !audience.scopes.contains(scope))
    {
        return Err(Denial::ScopeNotOffered.into());
    }
    let wanted = wanted(verified, audience);
    if wanted > audience.max_lifetime_seconds {
        return Err(RequestFault::LifetimeOverCeiling.into());
    }
    if audience.outlive_subject {
        return Ok(wanted);
    }
    // Within the leeway a subject token is still accepted after its `exp`; it has no life to give.
    let left = verified.subject.exp.saturating_sub(verified.now);
    if left < LIFETIME_SECONDS_MIN {
        return Err(TokenFault::Expired.into());
    }
    Ok(wanted.min(left))
}
