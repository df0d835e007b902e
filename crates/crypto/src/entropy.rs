//! Randomness for hedged signatures.

use std::convert::Infallible;

use ed25519_dalek::hazmat::ExpandedSecretKey;
use p256::ecdsa::signature::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of randomness for one signature.
pub const ENTROPY_BYTES: usize = 32;

/// Bytes of one block of SHA-512.
const BLOCK_BYTES: usize = 128;

/// Fresh randomness for one signature, from the host.
///
/// Both schemes derive their nonce from key and message, so a fault in one of two signatures over the same message
/// would reveal the key. With randomness no nonce repeats. Security never depends on it: with constant bytes the nonce
/// is as secret and unique as without.
pub struct Entropy(Zeroizing<[u8; ENTROPY_BYTES]>);

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

impl Entropy {
    #[must_use]
    pub fn from_bytes(bytes: [u8; ENTROPY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Hedges Ed25519 (RFC 8032 §5.1.6), whose nonce is a hash of the message after a secret prefix of the key.
    /// Replaces the prefix with a hash of randomness and prefix in a block of their own, as in
    /// draft-irtf-cfrg-det-sigs-with-noise.
    pub(crate) fn hedge(&self, key: &mut ExpandedSecretKey) {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        for (to, from) in block.iter_mut().zip(self.0.iter().chain(&key.hash_prefix)) {
            *to = *from;
        }
        let mut digest = Sha512::digest(block.as_slice());
        for (to, from) in key.hash_prefix.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        digest.as_mut_slice().zeroize();
    }

    /// The source of additional data for the nonce of ECDSA (RFC 6979 §3.6).
    pub(crate) fn source(&self) -> Source<'_> {
        Source(self)
    }
}

/// A generator that repeats the same bytes, so it serves one signature only.
pub(crate) struct Source<'e>(&'e Entropy);

impl TryRng for Source<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for (to, from) in to.iter_mut().zip(self.0.0.iter().cycle()) {
            *to = *from;
        }
        Ok(())
    }
}

impl TryCryptoRng for Source<'_> {}
