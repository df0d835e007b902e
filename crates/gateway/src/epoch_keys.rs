//! Epoch keys as the gateway has them: which must be derived when, which seeds are held, and when one
//! may leave.
//!
//! Held are the seeds of the current and the next epoch, and of the previous one until its window
//! closes. Of the other published epochs only the public key is kept, and of the **standby
//! generation**, the one behind the current, all public keys and no seed: verifiers know them before an
//! emergency makes that generation the current one. A key is published once the root has certified it. So
//! the HSM is asked five times per epoch and algorithm, however many tokens are issued: three times for
//! seeds, twice for certificates.

use std::collections::BTreeMap;

use vouchsafe_signer::{
    Algorithm, Epoch, EpochKey, Error, PublicJwk, SEED_BYTES, Scope, Seed, UnixSeconds, label,
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
    generation: u64,
    epoch: Epoch,
    algorithm: Algorithm,
}

/// A key that the root has not certified yet, and what its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncertified {
    place: Place,
    pub issuer: String,
    pub jwk: PublicJwk,
}

impl Uncertified {
    #[must_use]
    pub fn group(&self) -> &str {
        &self.place.group
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.place.generation
    }

    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.place.epoch
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.place.algorithm
    }
}

struct Entry {
    /// INVARIANT: published only with its certificate.
    jwk: PublicJwk,
    seed: Option<Seed>,
}

/// Epoch keys of every group, of the current generation and the standby.
pub struct EpochKeyring {
    groups: Vec<Group>,
    generation: u64,
    /// INVARIANT: at most four epochs per group, generation and algorithm; at most three of the current
    /// generation's have a seed, and none of the standby's.
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

    /// Makes `generation` the current one and forgets all keys of those before it, seeds included; true
    /// if that changed anything. A lower one changes nothing: it does not come back.
    pub fn raise_to(&mut self, generation: u64) -> bool {
        let raised = generation > self.generation;
        if raised {
            self.generation = generation;
            self.entries
                .retain(|place, _| place.generation >= generation);
        }
        raised
    }

    /// The current generation and the standby.
    fn generations(&self) -> impl Iterator<Item = u64> + use<> {
        let standby = self.generation.checked_add(1);
        std::iter::once(self.generation).chain(standby)
    }

    /// What the HSM has to derive, the most urgent first.
    ///
    /// # Errors
    /// [`Error::Internal`], which no input causes.
    pub fn missing(&self, now: UnixSeconds) -> Result<Vec<Derivation>, Error> {
        let mut missing = Vec::new();
        for group in &self.groups {
            let current = Epoch::containing(now, group.epoch_seconds)?;
            for place in self.places(group, current) {
                let entry = self.entries.get(&place);
                let held = self.is_held(&place, current, now);
                if entry.is_some_and(|it| it.seed.is_some() || !held) {
                    continue;
                }
                let scope = Scope {
                    issuer: &group.issuer,
                    group: &group.name,
                    generation: place.generation,
                };
                let label = label(scope, place.algorithm, place.epoch)?;
                missing.push((place.epoch != current, Derivation { place, label }));
            }
        }
        missing.sort_by_key(|(later, Derivation { place, .. })| {
            (place.generation, *later, place.epoch)
        });
        Ok(missing
            .into_iter()
            .map(|(_, derivation)| derivation)
            .collect())
    }

    /// Every key of `group` that is published while `current` lasts.
    fn places<'g>(
        &self,
        group: &'g Group,
        current: Epoch,
    ) -> impl Iterator<Item = Place> + use<'g> {
        let epochs = self
            .generations()
            .flat_map(move |generation| current.published().map(move |epoch| (generation, epoch)));
        epochs.flat_map(move |(generation, epoch)| {
            group.algorithms.iter().map(move |algorithm| Place {
                group: group.name.clone(),
                generation,
                epoch,
                algorithm: *algorithm,
            })
        })
    }

    /// What the HSM has to derive so that `generation` can become the current one with all its seeds.
    ///
    /// # Errors
    /// [`Error::Internal`], which no input causes.
    pub fn seeds_of(&self, generation: u64, now: UnixSeconds) -> Result<Vec<Derivation>, Error> {
        let next = Self::new(self.groups.clone(), generation);
        let mut wanted = Vec::new();
        for derivation in next.missing(now)? {
            let place = &derivation.place;
            let current = Epoch::containing(now, place.epoch.length_seconds())?;
            if next.is_held(place, current, now) {
                wanted.push(derivation);
            }
        }
        Ok(wanted)
    }

    /// Takes the HSM's answer.
    ///
    /// # Errors
    /// [`Error::Internal`] where the HSM gave another key before. INVARIANT: what is published for a place
    /// does not change, since verifiers keep it.
    pub fn learn(
        &mut self,
        derivation: Derivation,
        seed: [u8; SEED_BYTES],
        now: UnixSeconds,
    ) -> Result<(), Error> {
        let place = derivation.place;
        let seed = Seed::from_bytes(seed);
        let key = EpochKey::from_seed(&seed, place.algorithm, place.epoch)?;
        let known = self.entries.get(&place).map(|entry| &entry.jwk);
        if known.is_some_and(|known| known.kid() != key.kid()) {
            return Err(Error::Internal);
        }
        let current = Epoch::containing(now, place.epoch.length_seconds())?;
        // A key whose seed is derived once more keeps its certificate.
        let entry = Entry {
            jwk: known.unwrap_or(key.jwk()).clone(),
            seed: self.is_held(&place, current, now).then_some(seed),
        };
        self.entries.insert(place, entry);
        Ok(())
    }

    /// What the root has to certify, the current generation first, then the oldest epoch.
    #[must_use]
    pub fn uncertified(&self) -> Vec<Uncertified> {
        let issuer = |place: &Place| {
            let group = self.groups.iter().find(|group| group.name == place.group);
            group.map(|group| group.issuer.clone())
        };
        let entries = self.entries.iter();
        let mut uncertified: Vec<_> = entries
            .filter(|(_, entry)| !entry.jwk.has_certificate())
            .filter_map(|(place, entry)| {
                Some(Uncertified {
                    place: place.clone(),
                    issuer: issuer(place)?,
                    jwk: entry.jwk.clone(),
                })
            })
            .collect();
        uncertified.sort_by_key(|it| (it.place.generation, it.place.epoch));
        uncertified
    }

    /// Takes the root's certificate of a key, in DER, which publishes the key.
    pub fn certify(&mut self, uncertified: Uncertified, certificate: &[u8]) {
        // It may be gone by now, or another.
        if let Some(entry) = self.entries.get_mut(&uncertified.place)
            && entry.jwk == uncertified.jwk
        {
            entry.jwk = uncertified.jwk.with_certificate(certificate);
        }
    }

    /// Forgets the keys that are no longer published, and wipes the seeds whose window has closed.
    pub fn turn_to(&mut self, now: UnixSeconds) {
        let generation = self.generation;
        self.entries.retain(|place, entry| {
            let Ok(current) = Epoch::containing(now, place.epoch.length_seconds()) else {
                return false;
            };
            if !is_held(place.epoch, current, now) || place.generation != generation {
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
            generation,
            epoch,
            algorithm,
        };
        // INVARIANT: no seed of a key that verifiers do not get.
        self.entries
            .get(&place)
            .filter(|entry| entry.jwk.has_certificate())
            .and_then(|entry| entry.seed.as_ref())
            .ok_or(Refusal::HsmUnavailable)
    }

    /// The certified public keys of `group`: the current generation's, then the standby's, oldest epoch first, then
    /// by algorithm.
    #[must_use]
    pub fn published(&self, group: &Group) -> Vec<PublicEpochKey> {
        self.entries
            .iter()
            .filter(|(place, entry)| place.group == group.name && entry.jwk.has_certificate())
            .map(|(place, entry)| PublicEpochKey {
                generation: place.generation,
                epoch_start: place.epoch.start(),
                algorithm: place.algorithm.name().to_owned(),
                kid: entry.jwk.kid().to_owned(),
                jwk: entry.jwk.to_json(),
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

    /// Whether a signer can use the key: what is not published is not signed with.
    fn has_seed(&self, group: &Group, algorithm: Algorithm, epoch: Epoch) -> bool {
        let place = Place {
            group: group.name.clone(),
            generation: self.generation,
            epoch,
            algorithm,
        };
        self.entries
            .get(&place)
            .is_some_and(|entry| entry.seed.is_some() && entry.jwk.has_certificate())
    }

    /// Whether the seed of `place` is kept while `current` lasts.
    fn is_held(&self, place: &Place, current: Epoch, now: UnixSeconds) -> bool {
        place.generation == self.generation && is_held(place.epoch, current, now)
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
