//! The key of one epoch and algorithm.

use vouchsafe_crypto::{Crypto, Entropy, PrivateNumbers, SIGNATURE_BYTES, SigningKey};

use crate::algorithm::Algorithm;
use crate::epoch::{Epoch, Seed};
use crate::error::Error;
use crate::jwk::PublicJwk;
use crate::nonce::NonceKey;
use vouchsafe_types::UnixSeconds;

const P256_COORDINATE_BYTES: usize = 32;

/// The key pair of one epoch and algorithm. It is derived from its seed and never stored.
pub struct EpochKey {
    private: Box<dyn SigningKey>,
    jwk: PublicJwk,
    algorithm: Algorithm,
    epoch: Epoch,
    nonces: NonceKey,
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochKey({:?}, ..)", self.epoch)
    }
}

impl EpochKey {
    /// Derives the key of `epoch` and `algorithm` from its `seed` (`docs/epoch-keys.md`). `crypto` signs with it.
    ///
    /// # Errors
    /// [`Error::Internal`] if no candidate is a valid key, which has a probability of 2^-256.
    pub fn from_seed(seed: &Seed, algorithm: Algorithm, epoch: Epoch, crypto: &dyn Crypto) -> Result<Self, Error> {
        let private = seed.expand(algorithm, |candidate| {
            crypto.signing_key(match algorithm {
                Algorithm::Es256 => PrivateNumbers::P256(candidate),
                Algorithm::EdDsa => PrivateNumbers::Ed25519(candidate),
            })
        })?;
        let jwk = match (algorithm, private.public_key()) {
            (Algorithm::EdDsa, point) => PublicJwk::ed25519(point),
            (Algorithm::Es256, [0x04, point @ ..]) => {
                let (x, y) = point.split_at_checked(P256_COORDINATE_BYTES).ok_or(Error::Internal)?;
                PublicJwk::p256(x, y)
            }
            (Algorithm::Es256, _) => return Err(Error::Internal),
        };
        Ok(Self { private, jwk, algorithm, epoch, nonces: seed.nonce_key()? })
    }

    /// The nonces of which a proof of possession may have one at `now`, a moment of the key's epoch; first the one to give
    /// out.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn proof_nonces(&self, now: UnixSeconds) -> Result<Vec<String>, Error> {
        self.nonces.at(now.0.saturating_sub(self.epoch.start()))
    }

    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    #[must_use]
    pub fn kid(&self) -> &str {
        self.jwk.kid()
    }

    #[must_use]
    pub fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// The public key as a JWK, in JSON.
    #[must_use]
    pub fn public_jwk(&self) -> String {
        self.jwk.to_json()
    }

    /// Signs; the signature has the 64 bytes of RFC 7518 §3.4 or RFC 8032 §5.1.6.
    ///
    /// Doesn't verify the signature, which would cost three times as much as a P-256 signature. `entropy` protects
    /// against hardware faults instead.
    ///
    /// # Errors
    /// [`Error::Internal`] if the signature scheme fails, which these never do.
    pub fn sign(&self, signing_input: &[u8], entropy: &Entropy) -> Result<[u8; SIGNATURE_BYTES], Error> {
        self.private.sign(signing_input, entropy).ok_or(Error::Internal)
    }
}
