//! Epoch keys as the gateway has them: which must be derived when, which seeds are held, and when one
//! may leave.
//!
//! Held are the seeds of the current and the next epoch, and of the previous one until its window
//! closes. Of the other published epochs only the public key is kept: so the HSM is asked twice per
//! epoch and algorithm, however many tokens are issued.

use std::collections::BTreeMap;

use vouchsafe_signer::{
    Algorithm, Epoch, EpochKey, Error, SEED_BYTES, Scope, Seed, UnixSeconds, label,
};

use crate::refusal::Refusal;
use crate::rules::Group;
use crate::wire::PublicEpochKey;

/// How far a window is open to either side of its epoch, for clocks that differ.
pub const WINDOW_MARGIN_SECONDS: u64 = 60;

/// One question to the HSM: `HMAC-SHA256(root, label)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    place: Place,
    pub label: Vec<u8>,
}

/// Where a key belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    group: String,
    epoch: Epoch,
    algorithm: Algorithm,
}

struct Entry {
    kid: String,
    jwk: String,
    seed: Option<Seed>,
}

/// Epoch keys of every group, of one generation.
pub struct EpochKeyring {
    groups: Vec<Group>,
    generation: u64,
    /// INVARIANT: at most five epochs per group and algorithm, of which at most three with a seed.
    entries: BTreeMap<Place, Entry>,
}

impl std::fmt::Debug for EpochKeyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochKeyring(generation {}, ..)", self.generation)
    }
}

impl EpochKeyring {
    #[must_use]
    pub fn new(groups: Vec<Group>, generation: u64) -> Self {
        Self {
            groups,
            generation,
            entries: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What the HSM has to derive, the most urgent first.
    ///
    /// # Errors
    /// [`Error::Internal`], which no input causes.
    pub fn missing(&self, now: UnixSeconds) -> Result<Vec<Derivation>, Error> {
        let mut missing = Vec::new();
        for group in &self.groups {
            let current = Epoch::containing(now, group.epoch_seconds)?;
            for epoch in current.published() {
                for algorithm in &group.algorithms {
                    let place = Place {
                        group: group.name.clone(),
                        epoch,
                        algorithm: *algorithm,
                    };
                    let entry = self.entries.get(&place);
                    let complete =
                        entry.is_some_and(|it| it.seed.is_some() || !is_held(epoch, current, now));
                    if !complete {
                        let label = label(self.scope(group), *algorithm, epoch)?;
                        missing.push((epoch != current, Derivation { place, label }));
                    }
                }
            }
        }
        missing.sort_by_key(|(later, derivation)| (*later, derivation.place.epoch));
        Ok(missing
            .into_iter()
            .map(|(_, derivation)| derivation)
            .collect())
    }

    /// Takes the HSM's answer.
    ///
    /// # Errors
    /// [`Error::Internal`], which no input causes.
    pub fn learn(
        &mut self,
        derivation: Derivation,
        seed: [u8; SEED_BYTES],
        now: UnixSeconds,
    ) -> Result<(), Error> {
        let place = derivation.place;
        let seed = Seed::from_bytes(seed);
        let key = EpochKey::from_seed(&seed, place.algorithm, place.epoch)?;
        let current = Epoch::containing(now, place.epoch.length_seconds())?;
        let entry = Entry {
            kid: key.kid().to_owned(),
            jwk: key.public_jwk(),
            seed: is_held(place.epoch, current, now).then_some(seed),
        };
        self.entries.insert(place, entry);
        Ok(())
    }

    /// Forgets the keys that are no longer published, and wipes the seeds whose window has closed.
    pub fn turn_to(&mut self, now: UnixSeconds) {
        self.entries.retain(|place, entry| {
            let Ok(current) = Epoch::containing(now, place.epoch.length_seconds()) else {
                return false;
            };
            if !is_held(place.epoch, current, now) {
                entry.seed = None;
            }
            current.published().any(|epoch| epoch == place.epoch)
        });
    }

    /// The seed of the epoch of `group` that starts at `start`, while its window is open.
    ///
    /// # Errors
    /// Why it does not leave.
    pub fn hand_out(
        &self,
        group: &Group,
        generation: u64,
        algorithm: &str,
        start: u64,
        now: UnixSeconds,
    ) -> Result<&Seed, Refusal> {
        let algorithm = Algorithm::from_name(algorithm)
            .filter(|algorithm| group.algorithms.contains(algorithm))
            .ok_or(Refusal::SeedAlgorithm)?;
        let epoch = Epoch::starting_at(start, group.epoch_seconds).ok_or(Refusal::SeedEpoch)?;
        // ORDER: the window before the memory: what is held is not told to whoever may not have it.
        if !window_is_open(epoch, now) {
            return Err(Refusal::SeedWindow);
        }
        if generation != self.generation {
            return Err(Refusal::SeedGeneration);
        }
        let place = Place {
            group: group.name.clone(),
            epoch,
            algorithm,
        };
        self.entries
            .get(&place)
            .and_then(|entry| entry.seed.as_ref())
            .ok_or(Refusal::HsmUnavailable)
    }

    /// The public keys of `group`, oldest epoch first, then by algorithm.
    #[must_use]
    pub fn published(&self, group: &Group) -> Vec<PublicEpochKey> {
        self.entries
            .iter()
            .filter(|(place, _)| place.group == group.name)
            .map(|(place, entry)| PublicEpochKey {
                epoch_start: place.epoch.start(),
                kid: entry.kid.clone(),
                jwk: entry.jwk.clone(),
            })
            .collect()
    }

    /// Until when every group can be signed for without the HSM, in Unix seconds; none if not even
    /// now.
    #[must_use]
    pub fn seeds_until(&self, now: UnixSeconds) -> Option<u64> {
        let mut until = None;
        for group in &self.groups {
            for algorithm in &group.algorithms {
                let mut epoch = Epoch::containing(now, group.epoch_seconds).ok()?;
                let mut end = None;
                while self.has_seed(group, *algorithm, epoch) {
                    end = Some(epoch.end());
                    epoch = epoch.next();
                }
                let end = end?;
                until = Some(until.map_or(end, |known: u64| known.min(end)));
            }
        }
        until
    }

    fn has_seed(&self, group: &Group, algorithm: Algorithm, epoch: Epoch) -> bool {
        let place = Place {
            group: group.name.clone(),
            epoch,
            algorithm,
        };
        self.entries
            .get(&place)
            .is_some_and(|entry| entry.seed.is_some())
    }

    fn scope<'a>(&self, group: &'a Group) -> Scope<'a> {
        Scope {
            issuer: &group.issuer,
            group: &group.name,
            generation: self.generation,
        }
    }
}

/// `[start - 60, end + 60)`.
fn window_is_open(epoch: Epoch, now: UnixSeconds) -> bool {
    let opens = epoch.start().saturating_sub(WINDOW_MARGIN_SECONDS);
    opens <= now.0 && now.0 < epoch.end().saturating_add(WINDOW_MARGIN_SECONDS)
}

/// Whether the seed of `epoch` is kept while `current` lasts.
fn is_held(epoch: Epoch, current: Epoch, now: UnixSeconds) -> bool {
    epoch == current || epoch == current.next() || window_is_open(epoch, now)
}

#[cfg(test)]
#[path = "epoch_keys_tests.rs"]
mod tests;
