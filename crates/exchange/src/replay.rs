//! Which uses of a subject token and of a proof are remembered, and for how long.

use crate::failure::Failure;
use crate::keys::hex;
use crate::limits::{LEEWAY_SECONDS_MAX, PROOF_AGE_SECONDS_MAX, REPLAY_MARGIN_SECONDS, TOKEN_AGE_SECONDS_MAX};
use crate::permitted::PermittedExchange;
use crate::ports::Store;
use crate::refusal::{ProofFault, Refusal, ReplayFault};
use crate::verified::VerifiedExchange;
use sha2::{Digest, Sha256};
use vouchsafe_types::{Consumption, ReplayMode, TokenUse, VerifiedProof};

/// Consumes the proof, and a use of the subject token if issuer or audience limits them.
pub(crate) async fn consume(ports: &impl Store, permitted: &PermittedExchange) -> Result<(), Failure> {
    let (verified, audience) = (&permitted.verified, &permitted.audience);
    let of_issuer = uses_max(verified.issuer.replay);
    // A token that is used at most once reaches at most one audience, so the audience's own limit adds nothing.
    let of_audience = uses_max(audience.replay).filter(|_| of_issuer != Some(1));
    // ORDER: the audience first, so that its refusal does not cost a use at the issuer.
    let limits = [(audience.id.as_str(), of_audience), ("", of_issuer)];
    let mut of_token = limits.into_iter().filter_map(|(scope, uses_max)| Some(token_use(verified, scope, uses_max?)));
    let of_proof = verified.proof.as_ref().map(|proof| (proof_use(proof), Kind::Proof));
    // The proof shares the statement of the first use, so it never costs a further one.
    let first: Vec<_> = of_proof.into_iter().chain(of_token.next()).collect();
    if !first.is_empty() {
        consume_uses(ports, first).await?;
    }
    match of_token.next() {
        Some(second) => consume_uses(ports, vec![second]).await,
        None => Ok(()),
    }
}

/// What is used.
#[derive(Clone, Copy)]
enum Kind {
    Proof,
    Token,
}

async fn consume_uses(ports: &impl Store, uses: Vec<(TokenUse, Kind)>) -> Result<(), Failure> {
    let (uses, kinds): (Vec<_>, Vec<_>) = uses.into_iter().unzip();
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

/// A use of the subject token, under issuer and `jti` or the hash of the signing input; never the hash of the whole token,
/// because ECDSA signatures are malleable.
fn token_use(verified: &VerifiedExchange, scope: &str, uses_max: u32) -> (TokenUse, Kind) {
    let subject = &verified.subject;
    let (kind, id) = match &subject.jti {
        Some(jti) => ("jti", jti.as_str()),
        None => ("signing-input", subject.signing_input_digest.as_str()),
    };
    let token_use = TokenUse {
        key: key(&["vouchsafe-replay-v1", &subject.iss, kind, id, scope]),
        uses_max,
        // A token without `iat` cannot be shown to be younger than the store.
        issued_at: subject.iat.unwrap_or(0),
        keep_until: keep_until(verified),
    };
    (token_use, Kind::Token)
}

/// The only use of `proof`. Its `jti` counts for its key, so that nobody can use up somebody else's.
///
/// The use is remembered until no instance accepts the proof any more, however its clock differs.
fn proof_use(proof: &VerifiedProof) -> TokenUse {
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
fn keep_until(verified: &VerifiedExchange) -> u64 {
    let by_age = verified.subject.iat.map_or(u64::MAX, |iat| iat.saturating_add(TOKEN_AGE_SECONDS_MAX));
    verified.subject.exp.min(by_age).saturating_add(LEEWAY_SECONDS_MAX).saturating_add(REPLAY_MARGIN_SECONDS)
}
