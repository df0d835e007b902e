//! A cache of verified signatures, so that verifying a token again costs one hash.

use std::collections::{BTreeMap, VecDeque};

use sha2::{Digest, Sha256};

use crate::issuer::TrustedIssuer;
use vouchsafe_types::UnixSeconds;

/// Most proofs in a cache.
pub const PROOFS_MAX: usize = 1024;

/// The identity of one verified signature: a token, an issuer and a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proof([u8; 32]);

impl Proof {
    /// Covers the whole token, including its signature, and everything else on which the signature's validity depends:
    /// the provider determines how a token and its keys are parsed.
    pub(crate) fn of(token: &str, issuer: &TrustedIssuer, key_set_digest: &str) -> Self {
        let mut hash = Sha256::new();
        let provider = issuer.provider_name();
        for part in [issuer.name(), issuer.issuer(), provider, key_set_digest, token] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

/// At most [`PROOFS_MAX`] verified signatures, oldest evicted first; each expires with its token or the trust in its
/// keys, whichever ends first.
///
/// Covers signatures only: claims, times, replay and policy are checked on every use.
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
        Self { until: BTreeMap::new(), order: VecDeque::new() }
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

    /// Number of cached proofs, including expired ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.until.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.until.is_empty()
    }
}
