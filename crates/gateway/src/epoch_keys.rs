//! The gateway's epoch keys: when to derive them, which seeds to hold, and when a seed may leave.
//!
//! The keyring holds the seeds of the current and the next epoch, and that of the previous one until its window closes.
//! For the other published epochs it keeps only the public keys. For the **standby generation**, the one after the
//! current, it keeps all public keys but no seed, so that verifiers know them before an emergency makes that generation
//! the current one. A key is published once the root has certified it. The HSM is therefore used five times per epoch and
//! algorithm, however many tokens are issued: three times for seeds, twice for certificates.

use std::collections::BTreeMap;

use vouchsafe_signer::{
    Algorithm, Epoch, EpochKey, Error, KeyDerivationInfo, PublicJwk, SEED_BYTES, Seed, UnixSeconds, label,
};

use crate::refusal::Refusal;
use crate::rules::Group;
use crate::wire::PublicEpochKey;

/// How far a window extends on both sides of its epoch, to allow for clock skew.
pub const WINDOW_MARGIN_SECONDS: u64 = 60;

/// A derivation for the HSM: `HMAC-SHA256(root, label)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    id: EpochKeyId,
    pub label: Vec<u8>,
}

/// Identifies an epoch key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EpochKeyId {
    group: String,
    generation: u64,
    epoch: Epoch,
    algorithm: Algorithm,
}

/// A key that the root has not certified yet, with the content of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncertified {
    id: EpochKeyId,
    pub issuer: String,
    pub jwk: PublicJwk,
}

impl Uncertified {
    #[must_use]
    pub fn group(&self) -> &str {
        &self.id.group
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.id.generation
    }

    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.id.epoch
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.id.algorithm
    }
}

struct Entry {
    /// INVARIANT: published only with a certificate.
    jwk: PublicJwk,
    seed: Option<Seed>,
}

/// The epoch keys of every key group, for the current and the standby generation.
pub struct EpochKeyring {
    groups: Vec<Group>,
    generation: u64,
    /// INVARIANT: at most four epochs per group, generation and algorithm; at most three of the current generation have
    /// a seed, and none of the standby generation.
    entries: BTreeMap<EpochKeyId, Entry>,
}

impl std::fmt::Debug for EpochKeyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochKeyring(generation {}, ..)", self.generation)
    }
}

impl EpochKeyring {
    #[must_use]
    pub fn new(groups: Vec<Group>, generation: u64) -> Self {
        Self { groups, generation, entries: BTreeMap::new() }
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Makes `generation` the current one and drops all keys and seeds of earlier ones. Returns whether anything changed;
    /// a lower generation changes nothing.
    pub fn raise_to(&mut self, generation: u64) -> bool {
        let raised = generation > self.generation;
        if raised {
            self.generation = generation;
            self.entries.retain(|id, _| id.generation >= generation);
        }
        raised
    }

    /// The current and the standby generation.
    fn generations(&self) -> impl Iterator<Item = u64> + use<> {
        let standby = self.generation.checked_add(1);
        std::iter::once(self.generation).chain(standby)
    }

    /// What the HSM must derive, most urgent first.
    ///
    /// # Errors
    /// [`Error::Internal`], which no input causes.
    pub fn missing(&self, now: UnixSeconds) -> Result<Vec<Derivation>, Error> {
        let mut missing = Vec::new();
        for group in &self.groups {
            let current = Epoch::containing(now, group.epoch_seconds)?;
            for id in self.ids(group, current) {
                let entry = self.entries.get(&id);
                let held = self.is_held(&id, current, now);
                if entry.is_some_and(|it| it.seed.is_some() || !held) {
                    continue;
                }
                let info = KeyDerivationInfo { issuer: &group.issuer, group: &group.name, generation: id.generation };
                let label = label(info, id.algorithm, id.epoch)?;
                missing.push((id.epoch != current, Derivation { id, label }));
            }
        }
        missing.sort_by_key(|(later, Derivation { id, .. })| (id.generation, *later, id.epoch));
        Ok(missing.into_iter().map(|(_, derivation)| derivation).collect())
    }

    /// Every key of `group` that is published during `current`.
    fn ids<'g>(&self, group: &'g Group, current: Epoch) -> impl Iterator<Item = EpochKeyId> + use<'g> {
        let epochs =
            self.generations().flat_map(move |generation| current.published().map(move |epoch| (generation, epoch)));
        epochs.flat_map(move |(generation, epoch)| {
            group.algorithms.iter().map(move |algorithm| EpochKeyId {
                group: group.name.clone(),
                generation,
                epoch,
                algorithm: *algorithm,
            })
        })
    }

    /// What the HSM must derive so that `generation` can become the current one with all its seeds.
    ///
    /// # Errors
    /// [`Error::Internal`], which no input causes.
    pub fn seeds_of(&self, generation: u64, now: UnixSeconds) -> Result<Vec<Derivation>, Error> {
        let next = Self::new(self.groups.clone(), generation);
        let mut wanted = Vec::new();
        for derivation in next.missing(now)? {
            let id = &derivation.id;
            let current = Epoch::containing(now, id.epoch.length_seconds())?;
            if next.is_held(id, current, now) {
                wanted.push(derivation);
            }
        }
        Ok(wanted)
    }

    /// Stores a seed that the HSM derived.
    ///
    /// # Errors
    /// [`Error::Internal`] if the HSM derived another key before. INVARIANT: a published key never changes, because
    /// verifiers keep it.
    pub fn learn(&mut self, derivation: Derivation, seed: [u8; SEED_BYTES], now: UnixSeconds) -> Result<(), Error> {
        let id = derivation.id;
        let seed = Seed::from_bytes(seed);
        let key = EpochKey::from_seed(&seed, id.algorithm, id.epoch, &vouchsafe_crypto::Software)?;
        let known = self.entries.get(&id).map(|entry| &entry.jwk);
        if known.is_some_and(|known| known.kid() != key.kid()) {
            return Err(Error::Internal);
        }
        let current = Epoch::containing(now, id.epoch.length_seconds())?;
        // A key whose seed is derived again keeps its certificate.
        let entry =
            Entry { jwk: known.unwrap_or(key.jwk()).clone(), seed: self.is_held(&id, current, now).then_some(seed) };
        self.entries.insert(id, entry);
        Ok(())
    }

    /// The keys that the root must certify, the current generation first, then the oldest epoch.
    #[must_use]
    pub fn uncertified(&self) -> Vec<Uncertified> {
        let issuer = |id: &EpochKeyId| {
            let group = self.groups.iter().find(|group| group.name == id.group);
            group.map(|group| group.issuer.clone())
        };
        let entries = self.entries.iter();
        let mut uncertified: Vec<_> = entries
            .filter(|(_, entry)| !entry.jwk.has_certificate())
            .filter_map(|(id, entry)| Some(Uncertified { id: id.clone(), issuer: issuer(id)?, jwk: entry.jwk.clone() }))
            .collect();
        uncertified.sort_by_key(|it| (it.id.generation, it.id.epoch));
        uncertified
    }

    /// Publishes a key with the root's certificate, in DER.
    pub fn certify(&mut self, uncertified: Uncertified, certificate: &[u8]) {
        // It may have been dropped or replaced meanwhile.
        if let Some(entry) = self.entries.get_mut(&uncertified.id)
            && entry.jwk == uncertified.jwk
        {
            entry.jwk = uncertified.jwk.with_certificate(certificate);
        }
    }

    /// Drops the keys that are no longer published and wipes the seeds whose window has closed.
    pub fn turn_to(&mut self, now: UnixSeconds) {
        let generation = self.generation;
        self.entries.retain(|id, entry| {
            let Ok(current) = Epoch::containing(now, id.epoch.length_seconds()) else {
                return false;
            };
            if !is_held(id.epoch, current, now) || id.generation != generation {
                entry.seed = None;
            }
            current.published().any(|epoch| epoch == id.epoch)
        });
    }

    /// The seed of the epoch of `group` that starts at `start`, if its window is open.
    ///
    /// # Errors
    /// Why the seed must not leave.
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
        // ORDER: the window before the lookup, so that the answer doesn't reveal which seeds are held.
        if !window_is_open(epoch, now) {
            return Err(Refusal::SeedWindow);
        }
        if generation != self.generation {
            return Err(Refusal::SeedGeneration);
        }
        let id = EpochKeyId { group: group.name.clone(), generation, epoch, algorithm };
        // INVARIANT: no seed of an unpublished key leaves.
        self.entries
            .get(&id)
            .filter(|entry| entry.jwk.has_certificate())
            .and_then(|entry| entry.seed.as_ref())
            .ok_or(Refusal::HsmUnavailable)
    }

    /// The certified public keys of `group`: first the current generation, then the standby, oldest epoch first, then by
    /// algorithm.
    #[must_use]
    pub fn published(&self, group: &Group) -> Vec<PublicEpochKey> {
        self.entries
            .iter()
            .filter(|(id, entry)| id.group == group.name && entry.jwk.has_certificate())
            .map(|(id, entry)| PublicEpochKey {
                generation: id.generation,
                epoch_start: id.epoch.start(),
                algorithm: id.algorithm.name().to_owned(),
                kid: entry.jwk.kid().to_owned(),
                jwk: entry.jwk.to_json(),
            })
            .collect()
    }

    /// Until when every key group can be signed for without the HSM, in Unix seconds; `None` if not even now.
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

    /// Whether a signer can use the key, which requires that it is published.
    fn has_seed(&self, group: &Group, algorithm: Algorithm, epoch: Epoch) -> bool {
        let id = EpochKeyId { group: group.name.clone(), generation: self.generation, epoch, algorithm };
        self.entries.get(&id).is_some_and(|entry| entry.seed.is_some() && entry.jwk.has_certificate())
    }

    /// Whether the seed of `id` is kept during `current`.
    fn is_held(&self, id: &EpochKeyId, current: Epoch, now: UnixSeconds) -> bool {
        id.generation == self.generation && is_held(id.epoch, current, now)
    }
}

/// Whether `now` is in `[start - 60, end + 60)`.
fn window_is_open(epoch: Epoch, now: UnixSeconds) -> bool {
    let opens = epoch.start().saturating_sub(WINDOW_MARGIN_SECONDS);
    opens <= now.0 && now.0 < epoch.end().saturating_add(WINDOW_MARGIN_SECONDS)
}

/// Whether the seed of `epoch` is kept during `current`.
fn is_held(epoch: Epoch, current: Epoch, now: UnixSeconds) -> bool {
    epoch == current || epoch == current.next() || window_is_open(epoch, now)
}

#[cfg(test)]
#[path = "epoch_keys_tests.rs"]
mod tests;
