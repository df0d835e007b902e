//! Epoch keys: derived and certified ahead of time, and replaced when the generation rises.

use super::Gateway;
use crate::log::{Line, Quota};
use crate::pkcs11::protocol::{Call, Reply};
use crate::pkcs11::{HsmError, invalid_generation};
use crate::state_dir;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::task::JoinHandle;
use vouchsafe_gateway::{Derivation, Generation};
use vouchsafe_signer::SEED_BYTES;
use zeroize::Zeroizing;

/// How often the gateway checks for a new epoch or generation.
const TICK: Duration = Duration::from_millis(900);

impl Gateway {
    /// Derives the keys of each epoch in time, for as long as the process lives.
    pub async fn keep_epochs_current(self: Arc<Self>) {
        let mut reported = false;
        let mut saving = None;
        loop {
            tokio::time::sleep(TICK).await;
            let followed = self.follow_generation().await.and(self.refresh_states().await);
            self.remember_generation();
            // An operation refreshes the states and records lifetimes itself.
            if let Ok(_turn) = self.operating.try_lock()
                && let Err(failure) = self.record_lifetimes().await
            {
                eprintln!("hsm-gateway: {}", failure.message);
            }
            self.save_uses(&mut saving);
            match self.derive_epochs().await.and(followed) {
                Ok(()) => reported = false,
                Err(error) if !reported => {
                    eprintln!("hsm-gateway: cannot derive epoch keys: {error}");
                    reported = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Saves the first and last uses of versions on another thread, one save at a time.
    fn save_uses(self: &Arc<Self>, saving: &mut Option<JoinHandle<()>>) {
        if saving.as_ref().is_some_and(|it| !it.is_finished()) {
            return;
        }
        let Some(save) = self.version_stats().take_unsaved() else {
            return;
        };
        let gateway = Arc::clone(self);
        *saving = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = save.write() {
                eprintln!("hsm-gateway: cannot save uses of keys: {error}");
                gateway.version_stats().mark_unsaved();
            }
        }));
    }

    /// Adopts the token's generation if it is higher: within a second of its change.
    pub(super) async fn follow_generation(&self) -> Result<(), HsmError> {
        let generation = self.read_generation().await?.number;
        if generation <= self.keyring().generation() {
            return Ok(());
        }
        // ORDER: the seeds first, so that none is missing when the generation becomes current. If the HSM doesn't
        // return them, the generation is adopted without them, since an emergency can't wait.
        let wanted = self.keyring().seeds_of(generation, self.clock.now());
        let seeds = self.derive(wanted.unwrap_or_default()).await;
        {
            let (mut keyring, now) = (self.keyring(), self.clock.now());
            keyring.raise_to(generation);
            for (derivation, seed) in seeds.unwrap_or_default() {
                keyring.learn(derivation, *seed, now).map_err(conflicting_key)?;
            }
        }
        eprintln!("hsm-gateway: generation {generation} is current");
        self.remember_generation();
        let line = Line::new("generation", self.clock.now().0).with("generation", generation);
        let recorded = self.record(Quota::Gateway, line).await;
        recorded.map_err(|_| HsmError::NotRunning)
    }

    /// Writes the current generation to `state_dir`. If that fails, for example because the disk is full, each tick
    /// tries again, and the generation is current nevertheless.
    fn remember_generation(&self) {
        let generation = self.keyring().generation();
        if self.generation_on_disk.load(Relaxed) >= generation {
            return;
        }
        match state_dir::remember_generation(&self.state_dir, generation) {
            Ok(()) => self.generation_on_disk.store(generation, Relaxed),
            Err(failure) => eprintln!("hsm-gateway: {}", failure.message),
        }
    }

    pub(super) async fn read_generation(&self) -> Result<Generation, HsmError> {
        let Reply::Bytes(id) = self.hsm.call_internal(Call::Generation).await? else {
            return Err(HsmError::unexpected_reply());
        };
        Generation::parse(&id.0).ok_or_else(|| HsmError::module(invalid_generation().message))
    }

    /// Derives and certifies all epoch keys that are missing now.
    pub(super) async fn derive_epochs(&self) -> Result<(), HsmError> {
        let missing = {
            let (mut keyring, now) = (self.keyring(), self.clock.now());
            keyring.turn_to(now);
            keyring.missing(now).map_err(|_| HsmError::NotRunning)?
        };
        for derivation in missing {
            // One by one: each key is useful before the others are derived.
            for (derivation, seed) in self.derive(vec![derivation]).await? {
                let now = self.clock.now();
                let learned = self.keyring().learn(derivation, *seed, now);
                learned.map_err(conflicting_key)?;
            }
        }
        self.certify().await
    }

    async fn derive(
        &self,
        wanted: Vec<Derivation>,
    ) -> Result<Vec<(Derivation, Zeroizing<[u8; SEED_BYTES]>)>, HsmError> {
        let mut seeds = Vec::new();
        for derivation in wanted {
            let seed = self.hsm.derive(derivation.label.clone().into()).await?;
            seeds.push((derivation, seed));
        }
        Ok(seeds)
    }

    /// Certifies new epoch keys with the root signing key, which publishes them.
    async fn certify(&self) -> Result<(), HsmError> {
        // ORDER: listed before the first call, so that no lock is held during calls.
        let uncertified = self.keyring().uncertified();
        for key in uncertified {
            let certificate = self.root.certify(&self.hsm, &key).await?;
            self.keyring().certify(key, &certificate);
        }
        Ok(())
    }
}

/// The keyring rejects a second key for the same epoch.
fn conflicting_key(_: vouchsafe_signer::Error) -> HsmError {
    HsmError::module("the PKCS#11 token derives another key than before, unknown to verifiers")
}
