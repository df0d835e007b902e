//! Fetches the public keys from the first gateway that has those of this signer.

use std::rc::Rc;

use vouchsafe_signer::{Error, UnixSeconds};

use super::calls::{AnswerKind, accepted};
use super::keys::KnownKeys;
use super::network::{Answer, Network};
use super::state::GatewaySigner;
use crate::timing::CLOCK_SKEW_SECONDS_MAX;
use crate::wire::{KEYS_PATH, Keys};

impl GatewaySigner {
    /// Fetches the keys of the first gateway that serves this signer, is not behind, and whose clock agrees.
    pub(super) async fn fetch_keys(&self, network: &impl Network) -> Result<Rc<KnownKeys>, Error> {
        let (mut fetched, mut without_current, mut foreign) = (None, None, None);
        let generation_seen = self.state.borrow().generation_seen;
        let judge = |answer: &Answer| match self.usable_keys(answer, generation_seen, network.now()) {
            Ok(keys) => {
                fetched = Some(keys);
                AnswerKind::Taken
            }
            Err(Unusable::WithoutCurrent(keys)) => {
                without_current.get_or_insert(*keys);
                AnswerKind::Behind
            }
            Err(Unusable::Misconfigured(error)) => {
                foreign.get_or_insert(error);
                AnswerKind::Foreign
            }
            Err(Unusable::Other(kind)) => kind,
        };
        let outcome = self.call_until(KEYS_PATH, None, network, judge).await;
        let outcome = outcome.and_then(accepted);
        let Some(keys) = fetched.or(without_current) else {
            // Report a misconfigured variable only if no gateway has keys for this signer.
            return Err(foreign.or(outcome.err()).unwrap_or(Error::Unavailable));
        };
        let mut state = self.state.borrow_mut();
        // INVARIANT: nothing is signed with a key of a superseded generation.
        let current = keys.generation();
        state.epoch_keys.retain(|_, (_, of)| *of == current);
        if keys.has_current(network.now()) {
            state.generation_seen = state.generation_seen.max(current);
        }
        let keys = Rc::new(keys);
        state.keys = Some(Rc::clone(&keys));
        Ok(keys)
    }

    /// The keys in the answer of a gateway that serves this signer, is not behind, and whose clock agrees.
    pub(super) fn usable_keys(
        &self,
        answer: &Answer,
        generation_seen: u64,
        now: UnixSeconds,
    ) -> Result<KnownKeys, Unusable> {
        let keys = Keys::parse(&answer.body).map_err(|_| Unusable::Other(AnswerKind::Foreign))?;
        if keys.now.abs_diff(now.0) > CLOCK_SKEW_SECONDS_MAX {
            return Err(Unusable::Other(AnswerKind::Skewed));
        }
        // A superseded generation never becomes current again.
        if keys.generation < generation_seen {
            return Err(Unusable::Other(AnswerKind::Behind));
        }
        let keys = KnownKeys::accept(keys, &self.config.signer, now).map_err(Unusable::Misconfigured)?;
        if keys.has_current(now) {
            Ok(keys)
        } else if generation_seen != 0 && keys.generation() != generation_seen {
            // A generation without a key is not accepted.
            Err(Unusable::Other(AnswerKind::Foreign))
        } else {
            Err(Unusable::WithoutCurrent(Box::new(keys)))
        }
    }
}

/// Why the keys of a gateway cannot be used.
pub(super) enum Unusable {
    /// A variable differs from the gateway's value.
    Misconfigured(Error),
    Other(AnswerKind),
    WithoutCurrent(Box<KnownKeys>),
}
