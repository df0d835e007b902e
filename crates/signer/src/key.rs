//! The key of one epoch and algorithm.

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use sha2::{Digest as _, Sha256, Sha512};

use crate::algorithm::Algorithm;
use crate::entropy::Entropy;
use crate::epoch::{Epoch, Seed};
use crate::error::Error;
use crate::jwk::PublicJwk;

/// A private key. Both kinds erase themselves when dropped.
enum Private {
    EdDsa(Box<ed25519_dalek::SigningKey>),
    Es256(Box<p256::ecdsa::SigningKey>),
}

/// The key pair of one epoch and algorithm. It is derived from its seed and never stored.
pub struct EpochKey {
    private: Private,
    jwk: PublicJwk,
    algorithm: Algorithm,
    epoch: Epoch,
}

impl std::fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EpochKey({:?}, ..)", self.epoch)
    }
}

impl EpochKey {
    /// Derives the key of `epoch` and `algorithm` from its `seed` (`docs/epoch-keys.md`).
    ///
    /// # Errors
    /// [`Error::Internal`] if no candidate is a valid key, which has a probability of 2^-256.
    pub fn from_seed(seed: &Seed, algorithm: Algorithm, epoch: Epoch) -> Result<Self, Error> {
        let (private, jwk) = match algorithm {
            Algorithm::Es256 => es256(seed)?,
            Algorithm::EdDsa => eddsa(seed)?,
        };
        Ok(Self { private, jwk, algorithm, epoch })
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
    pub fn sign(&self, signing_input: &[u8], entropy: &Entropy) -> Result<[u8; 64], Error> {
        match &self.private {
            Private::EdDsa(key) => {
                let mut expanded = ExpandedSecretKey::from(key.as_bytes());
                entropy.hedge(&mut expanded);
                let public = key.verifying_key();
                Ok(raw_sign::<Sha512>(&expanded, signing_input, &public).to_bytes())
            }
            Private::Es256(key) => {
                let digest = Sha256::digest(signing_input);
                let signature: p256::ecdsa::Signature =
                    key.sign_prehash_with_rng(&mut entropy.source(), &digest).map_err(|_| Error::Internal)?;
                Ok(signature.to_bytes().into())
            }
        }
    }
}

fn es256(seed: &Seed) -> Result<(Private, PublicJwk), Error> {
    let key = seed.expand(Algorithm::Es256, scalar_in_range)?;
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (point.x().ok_or(Error::Internal)?, point.y().ok_or(Error::Internal)?);
    let jwk = PublicJwk::p256(x, y);
    Ok((Private::Es256(Box::new(key)), jwk))
}

/// The signing key of a scalar, if that is in `[1, n-1]`.
pub(crate) fn scalar_in_range(candidate: &[u8; 32]) -> Option<p256::ecdsa::SigningKey> {
    p256::ecdsa::SigningKey::from_slice(candidate).ok()
}

fn eddsa(seed: &Seed) -> Result<(Private, PublicJwk), Error> {
    let key = seed.expand(Algorithm::EdDsa, |secret| Some(ed25519_dalek::SigningKey::from_bytes(secret)))?;
    let jwk = PublicJwk::ed25519(key.verifying_key().as_bytes());
    Ok((Private::EdDsa(Box::new(key)), jwk))
}
