//! What verification and signing need of an adapter.

use std::sync::Arc;

use crate::entropy::Entropy;

/// Bytes of an Ed25519 or P-256 signature: `R ‖ S` or `r ‖ s`.
pub const SIGNATURE_BYTES: usize = 64;

/// A public key, as numbers.
#[derive(Clone, Copy, Debug)]
pub enum PublicNumbers<'a> {
    /// The 32 bytes of RFC 8032 §5.1.5, for EdDSA.
    Ed25519(&'a [u8]),
    /// An uncompressed point (SEC 1 §2.3.3), for ES256.
    P256(&'a [u8]),
    /// An uncompressed point (SEC 1 §2.3.3), for ES384.
    P384(&'a [u8]),
    /// For RS256: a big-endian modulus without leading zeros, and an exponent.
    Rsa { modulus: &'a [u8], exponent: u64 },
}

/// A private key, as numbers.
#[derive(Clone, Copy)]
pub enum PrivateNumbers<'a> {
    /// The seed of RFC 8032 §5.1.5, for EdDSA.
    Ed25519(&'a [u8; 32]),
    /// A big-endian scalar, for ES256.
    P256(&'a [u8; 32]),
}

/// An adapter of the port.
pub trait Crypto: Sync {
    /// The key of these numbers. None if they are no key of their kind: a point that is not on its curve or of small
    /// order, a modulus that is even, an exponent that is even or less than 3.
    fn verifying_key(&self, numbers: PublicNumbers<'_>) -> Option<Arc<dyn VerifyingKey>>;

    /// The key of these numbers. None for a scalar that is not in `[1, n-1]`.
    fn signing_key(&self, numbers: PrivateNumbers<'_>) -> Option<Box<dyn SigningKey>>;
}

/// A public key of one algorithm.
pub trait VerifyingKey: Send + Sync {
    /// Whether `signature` is one of `message`. ECDSA signatures are `r ‖ s`, never DER (RFC 7518 §3.4).
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// A private key of one algorithm. It erases itself when dropped, as far as its library does.
pub trait SigningKey: Send {
    /// The public key, in the form of [`PublicNumbers`].
    fn public_key(&self) -> &[u8];

    /// Signs (RFC 7518 §3.4, RFC 8032 §5.1.6). An adapter with a generator of its own may draw from that instead of
    /// `entropy`. None if the scheme fails, which happens only without randomness.
    fn sign(&self, message: &[u8], entropy: &Entropy) -> Option<[u8; SIGNATURE_BYTES]>;
}
