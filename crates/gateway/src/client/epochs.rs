//! Epoch keys of tier `delegated`. Each seed is fetched once for all waiting requests.

use std::rc::Rc;

use vouchsafe_signer::{Algorithm, Epoch, EpochKey, Error, UnixSeconds};

use super::calls::accepted;
use super::keys::KnownKeys;
use super::network::{Network, wait};
use super::state::{GatewaySigner, HeldKey};
use crate::wire::{SEED_PATH, SeedRequest, parse_seed};

/// How long before an epoch its seed is fetched: less than the gateway's 60 s, to allow for a clock skew of
/// [`crate::CLOCK_SKEW_SECONDS_MAX`].
const PREFETCH_SECONDS: u64 = 25;

impl GatewaySigner {
    /// Whether [`GatewaySigner::prefetch`] would fetch anything.
    pub fn prefetch_is_due(&self, now: UnixSeconds) -> bool {
        let Some(next) = self.next_epoch_soon(now) else {
            return false;
        };
        let state = self.state.borrow();
        let algorithms = self.config.signer.algorithms().iter();
        let missing = |it: &Algorithm| !state.epoch_keys.contains_key(&(next, *it));
        !state.fetching && algorithms.copied().any(|it| missing(&it))
    }

    /// Fetches the next epoch's seeds shortly before it starts. If this fails, requests fetch them when needed.
    pub async fn prefetch(&self, network: &impl Network) {
        let Some(next) = self.next_epoch_soon(network.now()) else {
            return;
        };
        for algorithm in self.config.signer.algorithms() {
            if self.epoch_key(next, *algorithm, network).await.is_err() {
                return;
            }
        }
    }

    fn next_epoch_soon(&self, now: UnixSeconds) -> Option<Epoch> {
        let current = Epoch::containing(now, self.config.signer.epoch_seconds()).ok()?;
        let soon = now.0.saturating_add(PREFETCH_SECONDS) >= current.end();
        soon.then(|| current.next())
    }

    /// Returns the key of `epoch` from memory, or fetches its seed.
    pub(super) async fn epoch_key(
        &self,
        epoch: Epoch,
        algorithm: Algorithm,
        network: &impl Network,
    ) -> Result<HeldKey, Error> {
        let held = || self.state.borrow().epoch_keys.get(&(epoch, algorithm)).cloned();
        let _turn = loop {
            if let Some(key) = held() {
                return Ok(key);
            }
            if let Some(turn) = self.take_turn() {
                break turn;
            }
            wait(network).await?;
        };
        let (key, generation) = self.fetch_epoch_key(epoch, algorithm, network).await?;
        let key = (Rc::new(key), generation);
        let current = Epoch::containing(network.now(), epoch.length_seconds())?;
        let mut state = self.state.borrow_mut();
        state.epoch_keys.retain(|(held, _), _| current.published().any(|it| it == *held));
        state.epoch_keys.insert((epoch, algorithm), key.clone());
        Ok(key)
    }

    /// INVARIANT: the key is published by the gateway, so verifiers know it.
    async fn fetch_epoch_key(
        &self,
        epoch: Epoch,
        algorithm: Algorithm,
        network: &impl Network,
    ) -> Result<(EpochKey, u64), Error> {
        let known = self.known_keys();
        let mut keys = match known.filter(|keys| keys.has_epoch(epoch, algorithm)) {
            Some(keys) => keys,
            None => self.fetch_keys(network).await?,
        };
        keys.require_epoch(epoch, algorithm)?;
        let ask = |keys: &KnownKeys| SeedRequest {
            group: self.config.signer.group().to_owned(),
            generation: keys.generation(),
            algorithm: algorithm.name().to_owned(),
            epoch_start: epoch.start(),
        };
        for last in [false, true] {
            let mut found = None;
            let is_one = |body: &[u8]| {
                let seed = parse_seed(body).ok();
                let key = seed.and_then(|seed| EpochKey::from_seed(&seed, algorithm, epoch, self.crypto).ok());
                found = key.filter(|key| keys.publishes(epoch, key.kid()));
                found.is_some()
            };
            let body = ask(&keys).to_json();
            let answer = self.call(SEED_PATH, body, is_one, network).await?;
            if answer.status == 409 && !last {
                // Another generation has become current.
                keys = self.fetch_keys(network).await?;
                continue;
            }
            accepted(answer)?;
            return match found {
                Some(key) => Ok((key, keys.generation())),
                None => Err(Error::Unavailable),
            };
        }
        Err(Error::Internal)
    }
}
