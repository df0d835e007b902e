//! Step 4: the subject token's use is recorded where uses are limited, and the new token is signed.

use crate::failure::Failure;
use crate::keys::hex;
use crate::limits::EXCHANGE_SECONDS_MAX;
use crate::permitted::PermittedExchange;
use crate::ports::{Instance, Ports, Signer, Store};
use crate::refusal::Refusal;
use crate::replay;
use crate::settings::Settings;
use crate::trace::Trace;
use crate::verified::VerifiedExchange;
use sha2::{Digest as _, Sha256};
use vouchsafe_types::{
    Attribute, AttributeValue, ExtraClaim, Generation, PresentedIdentity, SigningRequest, StatusReference, TokenType,
};

/// A token whose audit record is durable. Only [`crate::audit`] makes one.
pub struct IssuedExchange {
    pub(crate) jwt: String,
    pub(crate) token_type: TokenType,
    pub(crate) expires_in_seconds: u64,
    pub(crate) scopes: Vec<String>,
    /// Whether the token is bound to a key.
    pub(crate) bound: bool,
}

impl IssuedExchange {
    /// Releases the token.
    ///
    /// INVARIANT: called only once the audit record of `signed` is durable (I1).
    pub(crate) fn released(signed: SignedExchange) -> Self {
        let SignedExchange { jwt, token_type, expires_in_seconds, scopes, bound, .. } = signed;
        Self { jwt, token_type, expires_in_seconds, scopes, bound }
    }
}

/// A signed token that must not be released yet.
pub struct SignedExchange {
    jwt: String,
    token_type: TokenType,
    expires_in_seconds: u64,
    scopes: Vec<String>,
    bound: bool,
    pub(crate) kid: String,
    pub(crate) generation: Option<Generation>,
    pub(crate) expires_at: u64,
    pub(crate) status: Option<StatusReference>,
}

impl SignedExchange {
    /// Hex SHA-256 of the token's signing input.
    pub(crate) fn token_digest(&self) -> String {
        let input = self.jwt.rsplit_once('.').map_or(self.jwt.as_str(), |(input, _)| input);
        hex(&Sha256::digest(input))
    }
}

/// Consumes the proof, and a use of the subject token if issuer or audience limits them; then has the token signed.
pub(crate) async fn consume_and_sign<P: Ports>(
    ports: &P,
    settings: &Settings,
    permitted: &PermittedExchange,
    decision_id: &str,
    trace: &mut Trace,
) -> Result<SignedExchange, Failure> {
    // ORDER: before the time is checked and anything is consumed, since the store may have to be asked.
    let status = match permitted.audience.status_list {
        true => Some(Store::status_index(ports).await?),
        false => None,
    };
    // ORDER: check the time before consuming, so that no use is spent on a token that the signer would refuse.
    require_in_time(ports, &permitted.verified)?;
    replay::consume(ports, permitted).await?;
    trace.step(ports, "consume");
    sign(ports, settings, permitted, decision_id, status).await
}

/// Fails if the clock has moved too far since the token was verified.
fn require_in_time(ports: &impl Instance, verified: &VerifiedExchange) -> Result<(), Refusal> {
    if ports.clock().abs_diff(verified.now) <= EXCHANGE_SECONDS_MAX { Ok(()) } else { Err(Refusal::Overloaded) }
}

/// Asks the signer to build and sign the token.
async fn sign(
    ports: &impl Signer,
    settings: &Settings,
    permitted: &PermittedExchange,
    decision_id: &str,
    status: Option<StatusReference>,
) -> Result<SignedExchange, Failure> {
    let (verified, audience) = (&permitted.verified, &permitted.audience);
    let principal = &verified.subject.principal;
    let request = SigningRequest {
        issuer: settings.issuer.clone(),
        view: audience.view,
        subject: verified.token_subject(),
        audience: audience.id.clone(),
        tier: audience.tier,
        algorithm: audience.algorithm.clone(),
        // Clouds know no `at+jwt`. What the caller is told about the token stays what it asked for.
        token_type: audience.view.map_or(permitted.token_type, |_| TokenType::Jwt),
        issued_at: verified.now,
        lifetime_seconds: permitted.lifetime_seconds,
        jti: decision_id.to_owned(),
        scopes: verified.request.scopes.clone(),
        extra_claims: extra_claims(&principal.attributes, &audience.claims),
        // INVARIANT: whoever proved possession gets a token that is bound to the same key, never a bearer token.
        key_thumbprint: verified.proof.as_ref().map(|proof| proof.key_thumbprint.clone()),
        actors: verified.actor.as_ref().map(|actor| actor.chain.clone()).unwrap_or_default(),
        // Names the first decision of a chain, whichever server makes the next one.
        txn: verified.subject.txn.clone().or_else(|| audience.authorization_server.then(|| decision_id.to_owned())),
        status: status.clone(),
        presented: Some(PresentedIdentity { issuer: verified.subject.iss.clone(), principal: principal.id.clone() }),
    };
    let token = ports.sign(request).await?;
    Ok(SignedExchange {
        jwt: token.jwt,
        token_type: permitted.token_type,
        expires_in_seconds: token.expires_at.saturating_sub(verified.now),
        scopes: verified.request.scopes.clone(),
        bound: verified.proof.is_some(),
        kid: token.kid,
        generation: token.generation.map(|number| Generation { of: settings.generation_of(), number }),
        expires_at: token.expires_at,
        status,
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
