//! Epochs and the derivation of their keys. `docs/epoch-keys.md` has the byte layout and test vectors.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::error::Error;
use crate::nonce::NonceKey;
use vouchsafe_types::UnixSeconds;

/// Shortest epoch. A key is published two epochs before it signs, which must exceed the 300 s for which a verifier may
/// keep a JWK Set.
pub const EPOCH_SECONDS_MIN: u64 = 300;
/// Longest epoch: one week.
pub const EPOCH_SECONDS_MAX: u64 = 604_800;
/// How long before its key's withdrawal a token expires at the latest (I3).
pub(crate) const WITHDRAWAL_MARGIN_SECONDS: u64 = 60;

/// First field of every label and prefix of every HKDF `info`.
const SCHEME: &str = "vouchsafe-epoch-v1";
/// Length of a seed: the output of HMAC-SHA256.
pub const SEED_BYTES: usize = 32;
/// Candidates to try; each P-256 candidate is out of range with probability 2^-32.
const CANDIDATES_MAX: u32 = 8;

/// The time span `[start, start + length)`, where `start` is a multiple of `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    start: u64,
    length_seconds: u64,
}

impl Epoch {
    /// The epoch that contains `moment`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a length of 0.
    pub fn containing(moment: UnixSeconds, length_seconds: u64) -> Result<Self, Error> {
        let index = moment.0.checked_div(length_seconds).ok_or(Error::Internal)?;
        let start = index.checked_mul(length_seconds).ok_or(Error::Internal)?;
        Ok(Self { start, length_seconds })
    }

    /// The epoch of this length that starts exactly at `start`, if there is one.
    #[must_use]
    pub fn starting_at(start: u64, length_seconds: u64) -> Option<Self> {
        let epoch = Self::containing(UnixSeconds(start), length_seconds).ok()?;
        (epoch.start == start).then_some(epoch)
    }

    /// The first second, in Unix time.
    #[must_use]
    pub fn start(self) -> u64 {
        self.start
    }

    /// The first second after the epoch, in Unix time.
    #[must_use]
    pub fn end(self) -> u64 {
        self.start.saturating_add(self.length_seconds)
    }

    #[must_use]
    pub fn length_seconds(self) -> u64 {
        self.length_seconds
    }

    /// The following epoch.
    #[must_use]
    pub fn next(self) -> Self {
        Self { start: self.end(), ..self }
    }

    /// When its key enters the JWK Set: two epochs before the start.
    #[must_use]
    pub fn publication(self) -> UnixSeconds {
        UnixSeconds(self.start.saturating_sub(self.length_seconds.saturating_mul(2)))
    }

    /// When its key leaves the JWK Set: two epochs after the start.
    #[must_use]
    pub fn withdrawal(self) -> UnixSeconds {
        UnixSeconds(self.start.saturating_add(self.length_seconds.saturating_mul(2)))
    }

    /// The epochs whose keys are published during this one: previous, current and next two.
    pub fn published(self) -> impl Iterator<Item = Self> {
        let first = self.start.saturating_sub(self.length_seconds);
        (0..4).map(move |index| Self { start: first.saturating_add(self.length_seconds.saturating_mul(index)), ..self })
    }
}

/// What a seed is derived for, besides its epoch and algorithm.
#[derive(Debug, Clone, Copy)]
pub struct KeyDerivationInfo<'a> {
    pub issuer: &'a str,
    pub group: &'a str,
    pub generation: u64,
}

/// The secret of one epoch and algorithm.
pub struct Seed(Zeroizing<[u8; SEED_BYTES]>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    /// A seed that was derived elsewhere, for example in an HSM, as `HMAC-SHA256(root, label)`.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SEED_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself, for sending it to a signer.
    #[must_use]
    pub fn expose(&self) -> &[u8; SEED_BYTES] {
        &self.0
    }

    /// Derives `HMAC-SHA256(root, label)`.
    ///
    /// # Errors
    /// [`Error::Internal`], which no configured root causes.
    pub fn derive(root: &[u8], info: KeyDerivationInfo<'_>, algorithm: Algorithm, epoch: Epoch) -> Result<Self, Error> {
        let label = label(info, algorithm, epoch)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(root).map_err(|_| Error::Internal)?;
        mac.update(&label);
        Ok(Self(Zeroizing::new(mac.finalize().into_bytes().into())))
    }

    /// `HKDF-Expand(seed, "vouchsafe-epoch-v1 nonce")`.
    pub(crate) fn nonce_key(&self) -> Result<NonceKey, Error> {
        let hkdf = Hkdf::<Sha256>::from_prk(self.0.as_slice()).map_err(|_| Error::Internal)?;
        let mut key = Zeroizing::new([0; 32]);
        hkdf.expand_multi_info(&[SCHEME.as_bytes(), b" nonce"], key.as_mut_slice()).map_err(|_| Error::Internal)?;
        Ok(NonceKey::new(key))
    }

    /// The first `HKDF-Expand(seed, info ‖ counter)`, for counter 0, 1, …, that `accept` takes.
    pub(crate) fn expand<K>(&self, algorithm: Algorithm, accept: impl Fn(&[u8; 32]) -> Option<K>) -> Result<K, Error> {
        let hkdf = Hkdf::<Sha256>::from_prk(self.0.as_slice()).map_err(|_| Error::Internal)?;
        for counter in 0..CANDIDATES_MAX {
            let mut candidate = Zeroizing::new([0; 32]);
            let info = [SCHEME.as_bytes(), b" ", algorithm.name().as_bytes(), b" key ", &counter.to_be_bytes()];
            hkdf.expand_multi_info(&info, candidate.as_mut_slice()).map_err(|_| Error::Internal)?;
            if let Some(key) = accept(&candidate) {
                return Ok(key);
            }
        }
        Err(Error::Internal)
    }
}

/// The label of a seed: each field preceded by its length (u32, big-endian), so that no two inputs share a label.
///
/// # Errors
/// [`Error::Internal`] for a field of more than 2^32 bytes.
pub fn label(info: KeyDerivationInfo<'_>, algorithm: Algorithm, epoch: Epoch) -> Result<Vec<u8>, Error> {
    let fields: [&[u8]; 7] = [
        SCHEME.as_bytes(),
        info.issuer.as_bytes(),
        info.group.as_bytes(),
        &info.generation.to_be_bytes(),
        algorithm.name().as_bytes(),
        &epoch.length_seconds.to_be_bytes(),
        &epoch.start.to_be_bytes(),
    ];
    let mut label = Vec::new();
    for field in fields {
        let length = u32::try_from(field.len()).map_err(|_| Error::Internal)?;
        label.extend_from_slice(&length.to_be_bytes());
        label.extend_from_slice(field);
    }
    Ok(label)
}
