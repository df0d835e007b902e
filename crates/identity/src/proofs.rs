//! Signatures that were found to be valid, so that a token that is presented again costs a hash.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest, Sha256};

use crate::issuer::TrustedIssuer;
use vouchsafe_types::UnixSeconds;

/// Most proofs that a cache keeps.
pub const PROOFS_MAX: usize = 1024;

/// The name of one signature: a token, under an issuer and a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proof([u8; 32]);

impl Proof {
    /// The whole token is in it, signature included, and everything that the signature's validity
    /// depends on: the provider decides how a token and its keys are read.
    pub(crate) fn of(token: &str, issuer: &TrustedIssuer, key_set_digest: &str) -> Self {
        let mut hash = Sha256::new();
        let provider = issuer.provider_name();
        for part in [
            issuer.name(),
            issuer.issuer(),
            provider,
            key_set_digest,
            token,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// At most [`PROOFS_MAX`] valid signatures, the oldest going first; each dies with its token or with
/// the trust in its keys, whichever ends first.
///
/// It says that a signature was valid, and nothing else: claims, times, replay and policy are looked
/// at with every use.
// INVARIANT: a proof is here only after its signature verified under the set of its digest.
#[derive(Debug, Default)]
pub struct ProofCache {
    until: BTreeMap<Proof, UnixSeconds>,
    /// Oldest first.
    order: VecDeque<Proof>,
}

impl ProofCache {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            until: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn holds(&self, proof: &Proof, now: UnixSeconds) -> bool {
        self.until.get(proof).is_some_and(|until| now < *until)
    }

    pub(crate) fn remember(&mut self, proof: Proof, until: UnixSeconds, now: UnixSeconds) {
        if now >= until {
            return;
        }
        if self.until.insert(proof, until).is_some() {
            return;
        }
        self.order.push_back(proof);
        if self.order.len() > PROOFS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.until.remove(&oldest);
        }
    }

    /// Number of proofs that are kept, dead ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.until.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}
