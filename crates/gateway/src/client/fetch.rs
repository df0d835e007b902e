//! Fetches the public keys from the first gateway that has those of this signer.

use std::rc::Rc;

use vouchsafe_signer::Error;

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
        let judge = |answer: &Answer| {
            let Ok(keys) = Keys::parse(&answer.body) else {
                return AnswerKind::Foreign;
            };
            let now = network.now();
            if keys.now.abs_diff(now.0) > CLOCK_SKEW_SECONDS_MAX {
                return AnswerKind::Skewed;
            }
            // A superseded generation never becomes current again.
            if keys.generation < generation_seen {
                return AnswerKind::Behind;
            }
            match KnownKeys::accept(keys, &self.config.signer, now) {
                Ok(keys) if keys.has_current(now) => {
                    fetched = Some(keys);
                    AnswerKind::Taken
                }
                // A generation without a key is not accepted.
                Ok(keys) if generation_seen != 0 && keys.generation() != generation_seen => AnswerKind::Foreign,
                Ok(keys) => {
                    without_current.get_or_insert(keys);
                    AnswerKind::Behind
                }
                Err(error) => {
                    foreign.get_or_insert(error);
                    AnswerKind::Foreign
                }
            }
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
}
