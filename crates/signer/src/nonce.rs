//! Nonces for proofs of possession (RFC 9449 §8): a function of the time and a secret of the epoch, so that every instance
//! knows them and none keeps any.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::Error;

/// How long a nonce is given out, in seconds.
const STEP_SECONDS: u64 = 60;
/// How many of the nonces before are still accepted.
const STEPS_BACK: u64 = 2;
/// Bytes of a nonce: nobody guesses it.
const NONCE_BYTES: usize = 16;

/// The secret of an epoch's nonces.
pub(crate) struct NonceKey(Zeroizing<[u8; 32]>);

impl NonceKey {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The nonces that are accepted this long after the start of the epoch: the current one, those before, and the next
    /// one, which an instance whose clock is ahead gives out. The first ones of an epoch have fewer before them; a client
    /// whose nonce is refused gets another one.
    pub(crate) fn at(&self, elapsed_seconds: u64) -> Result<Vec<String>, Error> {
        let step = elapsed_seconds / STEP_SECONDS;
        let before = (1..=STEPS_BACK).filter_map(|back| step.checked_sub(back));
        [step].into_iter().chain(before).chain(step.checked_add(1)).map(|step| self.of(step)).collect()
    }

    fn of(&self, step: u64) -> Result<String, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).map_err(|_| Error::Internal)?;
        mac.update(&step.to_be_bytes());
        let digest = mac.finalize().into_bytes();
        Ok(URL_SAFE_NO_PAD.encode(digest.get(..NONCE_BYTES).ok_or(Error::Internal)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn key(byte: u8) -> NonceKey {
        NonceKey::new(Zeroizing::new([byte; 32]))
    }

    fn current(elapsed_seconds: u64) -> String {
        key(7).at(elapsed_seconds).unwrap().remove(0)
    }

    #[test]
    fn changes_once_a_minute() {
        assert_eq!(current(120), current(179));
        let minutes: BTreeSet<_> = (0..60).map(|minute| current(minute * STEP_SECONDS)).collect();
        assert_eq!(minutes.len(), 60);
        assert_ne!(key(7).at(0).unwrap(), key(8).at(0).unwrap());
    }

    #[test]
    fn accepts_a_nonce_for_two_minutes_after_its_own() {
        let given = current(600);
        for (elapsed, expected) in [(539, false), (540, true), (600, true), (779, true), (780, false)] {
            assert_eq!(key(7).at(elapsed).unwrap().contains(&given), expected, "{elapsed}");
        }
    }

    #[test]
    fn begins_anew_with_each_epoch() {
        assert_eq!(key(7).at(0).unwrap(), [current(0), current(60)]);
        assert_eq!(key(7).at(60).unwrap(), [current(60), current(0), current(120)]);
        assert!(key(7).at(u64::MAX).is_ok());
    }
}
