//! Which uses of tokens and of a proof are remembered, and for how long.

use crate::failure::Failure;
use crate::keys::hex;
use crate::limits::{LEEWAY_SECONDS_MAX, PROOF_AGE_SECONDS_MAX, REPLAY_MARGIN_SECONDS, TOKEN_AGE_SECONDS_MAX};
use crate::permitted::PermittedExchange;
use crate::ports::Store;
use crate::refusal::{ProofFault, Refusal, ReplayFault};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use vouchsafe_types::{Audience, Consumption, IssuerRecord, ReplayMode, Subject, TokenUse, VerifiedProof};

/// Consumes the proof, and a use of the subject token and of the actor token, each if its issuer or the audience limits
/// them.
pub(crate) async fn consume(ports: &impl Store, permitted: &PermittedExchange) -> Result<(), Failure> {
    let (verified, audience) = (&permitted.verified, &permitted.audience);
    let of_subject = token_uses(&verified.subject, &verified.issuer, audience);
    let of_actor = verified.actor.as_ref().map(|actor| token_uses(&actor.subject, &actor.issuer, audience));
    let of_proof = verified.proof.as_ref().map(|proof| (proof_use(proof), Kind::Proof));
    // The proof and both tokens share the statement, so they never cost a further one. Any of them that is used up refuses
    // the exchange; the others are used nevertheless.
    let mut first: Vec<_> = of_proof.into_iter().collect();
    let mut second = Vec::new();
    for mut uses in [Some(of_subject), of_actor].into_iter().flatten() {
        first.extend(uses.next());
        second.extend(uses.next());
    }
    for uses in [first, second].into_iter().filter(|uses| !uses.is_empty()) {
        consume_uses(ports, uses).await?;
    }
    Ok(())
}

/// Consumes a use of a client's assertion, if its issuer limits them.
pub(crate) async fn consume_assertion(
    ports: &impl Store,
    assertion: &Subject,
    issuer: &IssuerRecord,
) -> Result<(), Failure> {
    match uses_max(issuer.replay) {
        Some(uses_max) => consume_uses(ports, vec![token_use(assertion, "", uses_max)]).await,
        None => Ok(()),
    }
}

/// The uses of a token that are limited.
fn token_uses(
    token: &Subject,
    issuer: &IssuerRecord,
    audience: &Audience,
) -> impl Iterator<Item = (TokenUse, Kind)> + use<> {
    let of_issuer = uses_max(issuer.replay);
    // A token that is used at most once reaches at most one audience, so the audience's own limit adds nothing.
    let of_audience = uses_max(audience.replay).filter(|_| of_issuer != Some(1));
    // ORDER: the audience first, so that its refusal does not cost a use at the issuer.
    let limits = [(audience.id.as_str(), of_audience), ("", of_issuer)];
    let uses = limits.map(|(scope, uses_max)| Some(token_use(token, scope, uses_max?)));
    uses.into_iter().flatten()
}

/// What is used.
#[derive(Clone, Copy)]
enum Kind {
    Proof,
    Token,
}

async fn consume_uses(ports: &impl Store, uses: Vec<(TokenUse, Kind)>) -> Result<(), Failure> {
    let (uses, kinds): (Vec<_>, Vec<_>) = uses.into_iter().unzip();
    // Two tokens of one issuer with the same `jti`: the second use of one key.
    let keys: BTreeSet<&str> = uses.iter().map(|token_use: &TokenUse| token_use.key.as_str()).collect();
    if keys.len() != uses.len() {
        return Err(Refusal::Replay(ReplayFault::Spent).into());
    }
    let consumed = ports.consume(uses).await?;
    // INVARIANT: an unanswered use is not a fresh one.
    if consumed.len() != kinds.len() {
        return Err(Refusal::Internal.into());
    }
    for (consumption, kind) in consumed.into_iter().zip(kinds) {
        match (consumption, kind) {
            (Consumption::Fresh, _) => {}
            (Consumption::PredatesStore, Kind::Proof) => return Err(ProofFault::PredatesStore.into()),
            (Consumption::PredatesStore, Kind::Token) => {
                return Err(Refusal::Replay(ReplayFault::PredatesStore).into());
            }
            (Consumption::Spent, Kind::Proof) => return Err(ProofFault::Spent.into()),
            (Consumption::Spent, Kind::Token) => return Err(Refusal::Replay(ReplayFault::Spent).into()),
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

/// A use of a token, under issuer and `jti` or the hash of the signing input; never the hash of the whole token,
/// because ECDSA signatures are malleable.
fn token_use(subject: &Subject, scope: &str, uses_max: u32) -> (TokenUse, Kind) {
    let (kind, id) = match &subject.jti {
        Some(jti) => ("jti", jti.as_str()),
        None => ("signing-input", subject.signing_input_digest.as_str()),
    };
    let token_use = TokenUse {
        key: key(&["vouchsafe-replay-v1", &subject.iss, kind, id, scope]),
        uses_max,
        // A token without `iat` cannot be shown to be younger than the store.
        issued_at: subject.iat.unwrap_or(0),
        keep_until: keep_until(subject),
    };
    (token_use, Kind::Token)
}

/// The only use of `proof`. Its `jti` counts for its key, so that nobody can use up somebody else's.
///
/// The use is remembered until no instance accepts the proof any more, however its clock differs.
#[must_use]
pub fn proof_use(proof: &VerifiedProof) -> TokenUse {
    TokenUse {
        key: key(&["vouchsafe-dpop-v1", &proof.key_thumbprint, &proof.jti]),
        uses_max: 1,
        issued_at: proof.issued_at,
        keep_until: proof.issued_at.saturating_add(PROOF_AGE_SECONDS_MAX).saturating_add(REPLAY_MARGIN_SECONDS),
    }
}

/// The key under which a use is remembered; `parts` begin with the name of what is used.
fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

/// The end of the time in which any bundle could accept the same token, plus a margin: the next bundle may accept older
/// tokens than this one.
fn keep_until(token: &Subject) -> u64 {
    let by_age = token.iat.map_or(u64::MAX, |iat| iat.saturating_add(TOKEN_AGE_SECONDS_MAX));
    token.exp.min(by_age).saturating_add(LEEWAY_SECONDS_MAX).saturating_add(REPLAY_MARGIN_SECONDS)
}
