//! Step 3: policy permits the request, and it is within the audience's limits.
//!
//! ORDER: policy decides first, on at most what the audience offers; the audience's limits are compared afterwards. The
//! other way round, a caller without any permit could distinguish an existing audience (`scope.not_offered`) from a
//! nonexistent one.

use crate::failure::Failure;
use crate::limits::LIFETIME_SECONDS_MIN;
use crate::ports::Policy;
use crate::refusal::{Denial, ProofFault, Refusal, RequestFault};
use crate::trace::Trace;
use crate::verified::VerifiedExchange;
use std::net::IpAddr;
use std::rc::Rc;
use vouchsafe_types::{Audience, BundleInfo, Decision, Effect, TokenError, TokenRequest, TokenType};

/// A verified request with policy's decision, permit or deny. Only [`decide`] makes one.
pub struct DecidedExchange {
    verified: VerifiedExchange,
    audience: Rc<Audience>,
    decision: Decision,
}

impl DecidedExchange {
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// A verified request that policy permits. Only [`permit`] makes one.
pub struct PermittedExchange {
    pub(crate) verified: VerifiedExchange,
    pub(crate) audience: Rc<Audience>,
    pub(crate) lifetime_seconds: u64,
    pub(crate) token_type: TokenType,
}

/// Asks policy for a decision.
pub fn decide(
    ports: &impl Policy,
    bundle: &BundleInfo,
    verified: VerifiedExchange,
    client_ip: Option<IpAddr>,
    trace: &mut Trace,
) -> Result<DecidedExchange, Failure> {
    let request = &verified.request;
    let audience = ports.audience(bundle, &request.audience)?;
    let audience = audience.ok_or(Refusal::Denied(Denial::AudienceUnknown))?;
    trace.audience = Some(audience.id.clone());
    let scopes = request.scopes.iter();
    let offered = scopes.filter(|scope| audience.scopes.contains(scope));
    let question = TokenRequest {
        audience: audience.id.clone(),
        scopes: offered.cloned().collect(),
        requested_lifetime_seconds: requested_seconds(&verified, &audience).min(audience.max_lifetime_seconds),
        client_ip: client_ip.map(|address| address.to_string()),
        proof_of_possession: verified.proof.is_some(),
    };
    let principal = &verified.subject.principal;
    let decision = match &verified.actor {
        Some(actor) if audience.allow_act => {
            ports.decide_actor(bundle, &actor.subject.principal, principal, &question, verified.now)
        }
        Some(_) | None => ports.decide(bundle, principal, &question, verified.now),
    };
    Ok(DecidedExchange { decision: decision?, verified, audience })
}

/// Checks a permitted request against the audience's limits.
pub fn permit(decided: DecidedExchange) -> Result<PermittedExchange, Refusal> {
    let DecidedExchange { verified, audience, decision } = decided;
    match decision.effect {
        Effect::Permit => {}
        Effect::Deny => return Err(Denial::PolicyDenied.into()),
    }
    check_actor(&verified, &audience)?;
    check_scopes(&verified.request.scopes, &audience)?;
    check_subject(&verified, &audience)?;
    if audience.proof_required && verified.proof.is_none() {
        return Err(ProofFault::RequiredByAudience.into());
    }
    let token_type = token_type(verified.request.token_type, &audience)?;
    let lifetime_seconds = lifetime(&verified, &audience)?;
    Ok(PermittedExchange { verified, audience, lifetime_seconds, token_type })
}

fn requested_seconds(verified: &VerifiedExchange, audience: &Audience) -> u64 {
    let requested = verified.request.lifetime_seconds;
    requested.unwrap_or(audience.default_lifetime_seconds)
}

/// With an actor, the audience must allow it, and scopes that a token states are not exceeded.
fn check_actor(verified: &VerifiedExchange, audience: &Audience) -> Result<(), Denial> {
    let Some(actor) = &verified.actor else {
        return Ok(());
    };
    if !audience.allow_act {
        return Err(Denial::ActorsNotAllowed);
    }
    let stated = [&verified.subject.scopes, &actor.subject.scopes];
    let held = |scope: &String| stated.iter().all(|stated| stated.as_ref().is_none_or(|held| held.contains(scope)));
    if verified.request.scopes.iter().all(held) { Ok(()) } else { Err(Denial::ScopeNotHeld) }
}

/// Compares the requested scopes with what the audience offers and requires.
fn check_scopes(scopes: &[String], audience: &Audience) -> Result<(), Denial> {
    if scopes.iter().any(|scope| !audience.scopes.contains(scope)) {
        return Err(Denial::ScopeNotOffered);
    }
    match audience.scopes_required && scopes.is_empty() {
        true => Err(Denial::ScopeMissing),
        false => Ok(()),
    }
}

/// Compares the length of the token's `sub` with what the relying parties of the audience accept.
fn check_subject(verified: &VerifiedExchange, audience: &Audience) -> Result<(), Denial> {
    let bytes_max = audience.view.and_then(|view| view.preset().subject_bytes_max);
    match bytes_max.filter(|bytes_max| verified.token_subject().len() > *bytes_max) {
        Some(bytes_max) => Err(Denial::SubjectTooLong { bytes_max }),
        None => Ok(()),
    }
}

/// The type of the token to issue. Another authorization server gets a grant, which is no access token anywhere.
fn token_type(requested: Option<TokenType>, audience: &Audience) -> Result<TokenType, RequestFault> {
    match (audience.authorization_server, requested) {
        (false, requested) => Ok(requested.unwrap_or(TokenType::AccessToken)),
        (true, None | Some(TokenType::Jwt)) => Ok(TokenType::Jwt),
        (true, Some(TokenType::AccessToken)) => Err(RequestFault::RequestedTokenTypeNotGrant),
    }
}

/// The lifetime of the token to issue, in seconds.
fn lifetime(verified: &VerifiedExchange, audience: &Audience) -> Result<u64, Refusal> {
    let requested = requested_seconds(verified, audience);
    if requested > audience.max_lifetime_seconds {
        return Err(RequestFault::LifetimeOverCeiling.into());
    }
    // Within the leeway, a token is accepted after its `exp`, but it has no remaining lifetime to pass on.
    let left = |exp: u64| Some(exp.saturating_sub(verified.now)).filter(|left| *left >= LIFETIME_SECONDS_MIN);
    let of_subject = || left(verified.subject.exp).ok_or(TokenError::Expired);
    match &verified.actor {
        None if audience.outlive_subject => Ok(requested),
        None => Ok(requested.min(of_subject()?)),
        // A token with an actor never outlives the token of either.
        Some(actor) => {
            let of_actor = left(actor.subject.exp).ok_or(Refusal::ActorToken(TokenError::Expired))?;
            Ok(requested.min(of_subject()?).min(of_actor))
        }
    }
}
