//! Steps 4 to 6: consume, sign, record; then, and only then, release.

use crate::keys::hex;
use crate::limits::{LEEWAY_SECONDS_MAX, REPLAY_MARGIN_SECONDS, TOKEN_AGE_SECONDS_MAX};
use crate::permitted::PermittedExchange;
use crate::ports::{
    AttributeValue, Consumption, Failure, Generation, Ports, ReplayMode, Settings, SigningRequest,
    UnixSeconds,
};
use crate::refusal::{Refusal, ReplayFault};
use crate::request::IssuedTokenType;
use crate::verified::VerifiedExchange;
use sha2::{Digest, Sha256};

/// A token whose audit record is durable. Only the exchange makes one.
pub struct IssuedExchange {
    pub(crate) jwt: String,
    pub(crate) token_type: IssuedTokenType,
    pub(crate) expires_in_seconds: u64,
    pub(crate) scopes: Vec<String>,
}

impl IssuedExchange {
    /// Releases the token.
    ///
    /// INVARIANT: called only once the audit record of `signed` is durable (I1).
    pub(crate) fn released(signed: Signed) -> Self {
        let Signed {
            jwt,
            token_type,
            expires_in_seconds,
            scopes,
            ..
        } = signed;
        Self {
            jwt,
            token_type,
            expires_in_seconds,
            scopes,
        }
    }
}

/// A signed token that nobody may see yet.
pub(crate) struct Signed {
    jwt: String,
    token_type: IssuedTokenType,
    expires_in_seconds: u64,
    scopes: Vec<String>,
    pub(crate) kid: String,
    pub(crate) generation: Option<Generation>,
    pub(crate) expires_at: UnixSeconds,
}

/// Uses the subject token where issuer or audience count its uses.
pub(crate) async fn consume<P: Ports>(
    ports: &P,
    permitted: &PermittedExchange<P::Record>,
) -> Result<(), Failure> {
    let (verified, audience) = (&permitted.verified, &permitted.audience);
    let of_issuer = uses_max(verified.issuer.replay);
    // A token that is good once is good for one audience, so the audience's count says nothing more.
    let of_audience = uses_max(audience.replay).filter(|_| of_issuer != Some(1));
    // ORDER: the audience first, so that what it refuses does not cost a use at its issuer.
    for (scope, uses_max) in [(audience.id.as_str(), of_audience), ("", of_issuer)] {
        if let Some(uses_max) = uses_max {
            consume_once(ports, verified, scope, uses_max).await?;
        }
    }
    Ok(())
}

/// None where uses are not counted.
fn uses_max(mode: ReplayMode) -> Option<u32> {
    match mode {
        ReplayMode::Allow => None,
        ReplayMode::Bounded(uses) => Some(uses),
        ReplayMode::SingleUse => Some(1),
    }
}

async fn consume_once<P: Ports>(
    ports: &P,
    verified: &VerifiedExchange<P::Record>,
    scope: &str,
    uses_max: u32,
) -> Result<(), Failure> {
    // A token without `iat` can't show that it is younger than the store.
    let issued_at = verified.subject.iat.unwrap_or(0);
    let key = replay_key(verified, scope);
    match ports
        .consume(&key, uses_max, issued_at, keep_until(verified))
        .await?
    {
        Consumption::Fresh => Ok(()),
        Consumption::PredatesStore => Err(Refusal::Replay(ReplayFault::PredatesStore).into()),
        Consumption::Spent => Err(Refusal::Replay(ReplayFault::Spent).into()),
    }
}

/// The name under which a use is remembered: issuer and `jti`, or the hash of the signing input;
/// never of the whole token, since ECDSA signatures are malleable.
fn replay_key<Record>(verified: &VerifiedExchange<Record>, scope: &str) -> String {
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

/// Until when the same token could be accepted again under whatever bundle, and a margin: the next bundle
/// may take older tokens than this one.
fn keep_until<Record>(verified: &VerifiedExchange<Record>) -> UnixSeconds {
    let by_age = verified
        .subject
        .iat
        .map_or(u64::MAX, |iat| iat.saturating_add(TOKEN_AGE_SECONDS_MAX));
    verified
        .subject
        .exp
        .min(by_age)
        .saturating_add(LEEWAY_SECONDS_MAX)
        .saturating_add(REPLAY_MARGIN_SECONDS)
}

/// Has the signer build and sign the token.
pub(crate) async fn sign<P: Ports>(
    ports: &P,
    settings: &Settings,
    permitted: &PermittedExchange<P::Record>,
    decision_id: &str,
) -> Result<Signed, Failure> {
    let (verified, audience) = (&permitted.verified, &permitted.audience);
    let request = SigningRequest {
        issuer: settings.issuer.clone(),
        subject: format!("{}:{}", verified.issuer.name, verified.subject.subject),
        audience: audience.id.clone(),
        tier: audience.tier,
        algorithm: audience.algorithm.clone(),
        access_token: verified.request.token_type == IssuedTokenType::AccessToken,
        issued_at: verified.now,
        lifetime_seconds: permitted.lifetime_seconds,
        jti: decision_id.to_owned(),
        scopes: verified.request.scopes.clone(),
        extra_claims: extra_claims(verified, &audience.claims),
        presented: (
            verified.subject.iss.clone(),
            verified.subject.entity_id.clone(),
        ),
    };
    let token = ports.sign(request).await?;
    Ok(Signed {
        jwt: token.jwt,
        token_type: verified.request.token_type,
        expires_in_seconds: token.expires_at.saturating_sub(verified.now),
        scopes: verified.request.scopes.clone(),
        kid: token.kid,
        generation: token.generation.map(|number| Generation {
            of: settings.generation_of(),
            number,
        }),
        expires_at: token.expires_at,
    })
}

/// The verified claims that the audience lists; one that the token lacks is left out.
fn extra_claims<Record>(
    verified: &VerifiedExchange<Record>,
    names: &[String],
) -> Vec<(String, String)> {
    let attributes = &verified.subject.attributes;
    let value = |name: &String| {
        attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    names
        .iter()
        .filter_map(|name| Some((name.clone(), json_text(value(name)?))))
        .collect()
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
