//! The gateway's public keys, checked against the signer's configuration.

use vouchsafe_signer::{Algorithm, Config, Epoch, Error, Fault, UnixSeconds, Variable};

use crate::timing::KEYS_FRESH_SECONDS;
use crate::wire::{GroupKeys, Keys, PublicEpochKey, PublicTokenKey};

/// The public keys of the signer's key group.
pub(super) struct KnownKeys {
    generation: u64,
    seconds_left: u64,
    group: GroupKeys,
    algorithms: Vec<Algorithm>,
    fetched_at: UnixSeconds,
}

impl KnownKeys {
    /// Accepts the gateway's answer if its key group matches the signer's configuration.
    pub(super) fn accept(keys: Keys, config: &Config, now: UnixSeconds) -> Result<Self, Error> {
        let group = keys.groups.into_iter().find(|it| it.name == config.group());
        let group = group.ok_or_else(|| differs(Variable::SignerGroup))?;
        if group.issuer != config.issuer() {
            return Err(differs(Variable::Issuer));
        }
        if group.epoch_seconds != config.epoch_seconds() {
            return Err(differs(Variable::SignerEpoch));
        }
        Ok(Self {
            generation: keys.generation,
            seconds_left: keys.seconds_left,
            group,
            algorithms: config.algorithms().to_vec(),
            fetched_at: now,
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// How long the gateway can go on without the HSM.
    pub(super) fn seconds_left(&self, now: UnixSeconds) -> u64 {
        self.seconds_left.saturating_sub(self.age_seconds(now))
    }

    pub(super) fn is_fresh(&self, now: UnixSeconds) -> bool {
        self.age_seconds(now) < KEYS_FRESH_SECONDS && self.cover(now)
    }

    /// The age of the keys. A clock that goes back ages them like one that goes forward.
    pub(super) fn age_seconds(&self, now: UnixSeconds) -> u64 {
        now.0.abs_diff(self.fetched_at.0)
    }

    /// Whether the current epoch's keys of all algorithms are known.
    pub(super) fn cover(&self, now: UnixSeconds) -> bool {
        let current = Epoch::containing(now, self.group.epoch_seconds);
        current.is_ok_and(|epoch| self.algorithms.iter().all(|it| self.has_epoch(epoch, *it)))
    }

    /// Whether the current epoch's key of any algorithm is known.
    pub(super) fn has_current(&self, now: UnixSeconds) -> bool {
        let current = Epoch::containing(now, self.group.epoch_seconds);
        current.is_ok_and(|epoch| self.algorithms.iter().any(|it| self.has_epoch(epoch, *it)))
    }

    pub(super) fn has_epoch(&self, epoch: Epoch, algorithm: Algorithm) -> bool {
        self.keys_of(epoch).any(|key| key.algorithm == algorithm.name())
    }

    /// Checks that the key of `epoch` and `algorithm` is known.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] if the gateway has no keys of this algorithm at all.
    pub(super) fn require_epoch(&self, epoch: Epoch, algorithm: Algorithm) -> Result<(), Error> {
        if self.has_epoch(epoch, algorithm) {
            return Ok(());
        }
        let mut keys = self.group.epoch_keys.iter();
        if keys.any(|key| key.algorithm == algorithm.name()) {
            Err(Error::Unavailable)
        } else {
            Err(differs(Variable::SignerAlgorithms))
        }
    }

    pub(super) fn publishes(&self, epoch: Epoch, kid: &str) -> bool {
        self.keys_of(epoch).any(|key| key.kid == kid)
    }

    fn keys_of(&self, epoch: Epoch) -> impl Iterator<Item = &PublicEpochKey> {
        let start = epoch.start();
        let keys = self.group.epoch_keys.iter();
        keys.filter(move |key| key.epoch_start == start && key.generation == self.generation)
    }

    /// The key version of tier `hsm` that currently signs for `audience`.
    pub(super) fn token_key(&self, algorithm: &str, audience: &str) -> Option<PublicTokenKey> {
        let fits = |key: &&PublicTokenKey| {
            key.signs && key.algorithm == algorithm && key.audiences.iter().any(|it| it == audience)
        };
        self.group.token_keys.iter().find(fits).cloned()
    }

    /// Whether the version `kid` of the key `name` is published.
    pub(super) fn publishes_version(&self, name: &str, kid: &str) -> bool {
        let mut keys = self.group.token_keys.iter();
        keys.any(|key| key.name == name && key.kid == kid)
    }

    /// The JWKs to publish at `now`: keys of the published epochs, including the standby generation, then HSM keys.
    pub(super) fn jwks(&self, now: UnixSeconds) -> Result<Vec<String>, Error> {
        let current = Epoch::containing(now, self.group.epoch_seconds)?;
        let published = |key: &&PublicEpochKey| {
            let starts = |epoch: Epoch| epoch.start() == key.epoch_start;
            current.published().any(starts)
        };
        let epoch_keys = self.group.epoch_keys.iter().filter(published);
        let token_keys = self.group.token_keys.iter();
        Ok(epoch_keys.map(|key| key.jwk.clone()).chain(token_keys.map(|key| key.jwk.clone())).collect())
    }
}

/// The error for a `variable` that differs from the gateway's value.
fn differs(variable: Variable) -> Error {
    Error::Misconfigured { variable, fault: Fault::DiffersFromGateway }
}
