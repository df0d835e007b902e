//! Step 4: the subject token's use is recorded where uses are limited, and the new token is signed.

use crate::failure::Failure;
use crate::keys::hex;
use crate::limits::{EXCHANGE_SECONDS_MAX, LEEWAY_SECONDS_MAX, REPLAY_MARGIN_SECONDS, TOKEN_AGE_SECONDS_MAX};
use crate::permitted::PermittedExchange;
use crate::ports::{Instance, Ports, Signer, Store};
use crate::refusal::{Refusal, ReplayFault};
use crate::settings::Settings;
use crate::trace::Trace;
use crate::verified::VerifiedExchange;
use sha2::{Digest, Sha256};
use vouchsafe_types::{
    Attribute, AttributeValue, Consumption, ExtraClaim, Generation, PresentedIdentity, ReplayMode, SigningRequest,
    TokenType,
};

/// A token whose audit record is durable. Only [`crate::audit`] makes one.
pub struct IssuedExchange {
    pub(crate) jwt: String,
    pub(crate) token_type: TokenType,
    pub(crate) expires_in_seconds: u64,
    pub(crate) scopes: Vec<String>,
}

impl IssuedExchange {
    /// Releases the token.
    ///
    /// INVARIANT: called only once the audit record of `signed` is durable (I1).
    pub(crate) fn released(signed: SignedExchange) -> Self {
        let SignedExchange { jwt, token_type, expires_in_seconds, scopes, .. } = signed;
        Self { jwt, token_type, expires_in_seconds, scopes }
    }
}

/// A signed token that must not be released yet.
pub struct SignedExchange {
    jwt: String,
    token_type: TokenType,
    expires_in_seconds: u64,
    scopes: Vec<String>,
    pub(crate) kid: String,
    pub(crate) generation: Option<Generation>,
    pub(crate) expires_at: u64,
}

/// Consumes a use of the subject token if issuer or audience limits them, then has the token signed.
pub(crate) async fn consume_and_sign<P: Ports>(
    ports: &P,
    settings: &Settings,
    permitted: &PermittedExchange,
    decision_id: &str,
    trace: &mut Trace,
) -> Result<SignedExchange, Failure> {
    // ORDER: check the time before consuming, so that no use is spent on a token that the signer would refuse.
    require_in_time(ports, &permitted.verified)?;
    consume(ports, permitted).await?;
    trace.step(ports, "consume");
    sign(ports, settings, permitted, decision_id).await
}

/// Fails if the clock has moved too far since the token was verified.
fn require_in_time(ports: &impl Instance, verified: &VerifiedExchange) -> Result<(), Refusal> {
    if ports.clock().abs_diff(verified.now) <= EXCHANGE_SECONDS_MAX { Ok(()) } else { Err(Refusal::Overloaded) }
}

async fn consume(ports: &impl Store, permitted: &PermittedExchange) -> Result<(), Failure> {
    let (verified, audience) = (&permitted.verified, &permitted.audience);
    let of_issuer = uses_max(verified.issuer.replay);
    // A token that is used at most once reaches at most one audience, so the audience's own limit adds nothing.
    let of_audience = uses_max(audience.replay).filter(|_| of_issuer != Some(1));
    // ORDER: the audience first, so that its refusal does not cost a use at the issuer.
    for (scope, uses_max) in [(audience.id.as_str(), of_audience), ("", of_issuer)] {
        if let Some(uses_max) = uses_max {
            consume_once(ports, verified, scope, uses_max).await?;
        }
    }
    Ok(())
}

/// `None` if uses are not limited.
fn uses_max(mode: ReplayMode) -> Option<u32> {
    match mode {
        ReplayMode::Allow => None,
        ReplayMode::Bounded(uses) => Some(uses),
        ReplayMode::SingleUse => Some(1),
    }
}

async fn consume_once(
    ports: &impl Store,
    verified: &VerifiedExchange,
    scope: &str,
    uses_max: u32,
) -> Result<(), Failure> {
    // A token without `iat` cannot be shown to be younger than the store.
    let issued_at = verified.subject.iat.unwrap_or(0);
    let key = replay_key(verified, scope);
    match ports.consume(&key, uses_max, issued_at, keep_until(verified)).await? {
        Consumption::Fresh => Ok(()),
        Consumption::PredatesStore => Err(Refusal::Replay(ReplayFault::PredatesStore).into()),
        Consumption::Spent => Err(Refusal::Replay(ReplayFault::Spent).into()),
    }
}

/// The key under which a use is remembered: issuer and `jti`, or the hash of the signing input; never the hash of the
/// whole token, because ECDSA signatures are malleable.
fn replay_key(verified: &VerifiedExchange, scope: &str) -> String {
    let subject = &verified.subject;
    let (kind, id) = match &subject.jti {
        Some(jti) => ("jti", jti.as_str()),
        None => ("signing-input", subject.signing_input_digest.as_str()),
    };
    let mut hash = Sha256::new();
    for part in ["vouchsafe-replay-v1", &subject.iss, kind, id, scope] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

/// The end of the time in which any bundle could accept the same token, plus a margin: the next bundle may accept older
/// tokens than this one.
fn keep_until(verified: &VerifiedExchange) -> u64 {
    let by_age = verified.subject.iat.map_or(u64::MAX, |iat| iat.saturating_add(TOKEN_AGE_SECONDS_MAX));
    verified.subject.exp.min(by_age).saturating_add(LEEWAY_SECONDS_MAX).saturating_add(REPLAY_MARGIN_SECONDS)
}

/// Asks the signer to build and sign the token.
async fn sign(
    ports: &impl Signer,
    settings: &Settings,
    permitted: &PermittedExchange,
    decision_id: &str,
) -> Result<SignedExchange, Failure> {
    let (verified, audience) = (&permitted.verified, &permitted.audience);
    let principal = &verified.subject.principal;
    let request = SigningRequest {
        issuer: settings.issuer.clone(),
        subject: format!("{}:{}", verified.issuer.name, verified.subject.name),
        audience: audience.id.clone(),
        tier: audience.tier,
        algorithm: audience.algorithm.clone(),
        token_type: verified.request.token_type,
        issued_at: verified.now,
        lifetime_seconds: permitted.lifetime_seconds,
        jti: decision_id.to_owned(),
        scopes: verified.request.scopes.clone(),
        extra_claims: extra_claims(&principal.attributes, &audience.claims),
        presented: Some(PresentedIdentity { issuer: verified.subject.iss.clone(), principal: principal.id.clone() }),
    };
    let token = ports.sign(request).await?;
    Ok(SignedExchange {
        jwt: token.jwt,
        token_type: verified.request.token_type,
        expires_in_seconds: token.expires_at.saturating_sub(verified.now),
        scopes: verified.request.scopes.clone(),
        kid: token.kid,
        generation: token.generation.map(|number| Generation { of: settings.generation_of(), number }),
        expires_at: token.expires_at,
    })
}

/// The verified claims that the audience lists, without those that the token lacks.
fn extra_claims(attributes: &[Attribute], names: &[String]) -> Vec<ExtraClaim> {
    let claim = |name: &String| {
        let attribute = attributes.iter().find(|attribute| attribute.name == *name)?;
        let value = json_text(&attribute.value);
        Some(ExtraClaim { name: name.clone(), value })
    };
    names.iter().filter_map(claim).collect()
}

fn json_text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::Text(text) => serde_json::Value::from(text.as_str()),
        AttributeValue::Integer(number) => serde_json::Value::from(*number),
        AttributeValue::Boolean(truth) => serde_json::Value::from(*truth),
        AttributeValue::TextSet(texts) => serde_json::Value::from(texts.as_slice()),
    }
    .to_string()
}
