//! Proofs of possession (RFC 9449): by which key the caller is known, and which key the issued token is bound to.

use crate::failure::Failure;
use crate::limits::PROOF_BYTES_MAX;
use crate::ports::{Identity, Signer};
use crate::refusal::ProofFault;
use crate::settings::Settings;
use vouchsafe_types::{BundleInfo, ProofError, Subject, VerifiedProof};

/// The only method of the token endpoint.
const METHOD: &str = "POST";

/// The proof in `headers`, the values of a request's `dpop` headers. More than one is an error (RFC 9449 §4.3), and so is
/// an empty one: a proof is never ignored.
pub fn only(headers: &[String]) -> Result<Option<&str>, ProofFault> {
    match headers {
        [] => Ok(None),
        [proof] if proof.len() > PROOF_BYTES_MAX => Err(ProofError::TooLarge.into()),
        [proof] => Ok(Some(proof)),
        [_, _, ..] => Err(ProofFault::Repeated),
    }
}

/// Verifies `proof`, and that it is by the key that each of `tokens` is bound to, if it is bound: the subject token, and
/// the actor token.
///
/// INVARIANT: a bound token is exchanged only by the holder of its key. The result is bound to the key of the proof, so it
/// is to the same key, which is the actor's if there is one.
///
/// ORDER: after the tokens, so that nobody without a valid token can have a signature verified with a key of their
/// choice.
pub async fn verify<P: Identity + Signer>(
    ports: &P,
    settings: &Settings,
    bundle: &BundleInfo,
    proof: Option<&str>,
    tokens: &[&Subject],
    now: u64,
) -> Result<Option<VerifiedProof>, Failure> {
    let verified = match proof {
        // The configured URL: what the request's own headers say about its URL, anyone can change.
        Some(proof) => Some(ports.verify_proof(proof, METHOD, &settings.token_endpoint(), now)?),
        None => None,
    };
    for bound in tokens.iter().filter_map(|token| token.key_thumbprint.as_ref()) {
        match &verified {
            Some(proof) if *bound == proof.key_thumbprint => {}
            Some(_) => return Err(ProofFault::KeyMismatch.into()),
            None => return Err(ProofFault::RequiredByToken.into()),
        }
    }
    if let Some(proof) = verified.as_ref().filter(|_| bundle.proof_nonce_required) {
        require_nonce(proof, &ports.proof_nonces().await?)?;
    }
    Ok(verified)
}

/// Fails unless `proof` has one of the `nonces` that the broker gave out lately (RFC 9449 §8). Whoever had a client make
/// proofs in advance can't use them.
pub fn require_nonce(proof: &VerifiedProof, nonces: &[String]) -> Result<(), ProofFault> {
    match proof.nonce.as_ref().is_some_and(|nonce| nonces.contains(nonce)) {
        true => Ok(()),
        false => Err(ProofFault::NonceRequired),
    }
}
