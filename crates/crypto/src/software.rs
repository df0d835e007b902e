//! The adapter in pure Rust: RustCrypto and dalek.

use std::sync::Arc;

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::RandomizedPrehashSigner as _;
use sha2::{Digest as _, Sha256};

use crate::entropy::Entropy;
use crate::port::{Crypto, PrivateNumbers, PublicNumbers, SIGNATURE_BYTES, SigningKey, VerifyingKey};
use crate::{ed25519, rsa};

/// Signature arithmetic in pure Rust.
#[derive(Clone, Copy, Debug)]
pub struct Software;

impl Crypto for Software {
    fn verifying_key(&self, numbers: PublicNumbers<'_>) -> Option<Arc<dyn VerifyingKey>> {
        Some(match numbers {
            PublicNumbers::Ed25519(point) => Arc::new(ed25519::Public::load(point)?),
            PublicNumbers::P256(point) => Arc::new(P256(p256_point(point)?)),
            PublicNumbers::P384(point) => Arc::new(P384(p384_point(point)?)),
            PublicNumbers::Rsa { modulus, exponent } => Arc::new(rsa::Public::load(modulus, exponent)?),
        })
    }

    fn signing_key(&self, numbers: PrivateNumbers<'_>) -> Option<Box<dyn SigningKey>> {
        Some(match numbers {
            PrivateNumbers::Ed25519(seed) => Box::new(ed25519::Private::load(seed)),
            PrivateNumbers::P256(scalar) => Box::new(PrivateP256::load(scalar)?),
        })
    }
}

/// The key of an uncompressed point, if that is on the curve.
pub(crate) fn p256_point(point: &[u8]) -> Option<p256::ecdsa::VerifyingKey> {
    if point.len() != 65 { None } else { p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok() }
}

/// The key of an uncompressed point, if that is on the curve.
pub(crate) fn p384_point(point: &[u8]) -> Option<p384::ecdsa::VerifyingKey> {
    if point.len() != 97 { None } else { p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok() }
}

struct P256(p256::ecdsa::VerifyingKey);

impl VerifyingKey for P256 {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = p256::ecdsa::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

struct P384(p384::ecdsa::VerifyingKey);

impl VerifyingKey for P384 {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = p384::ecdsa::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

struct PrivateP256 {
    key: p256::ecdsa::SigningKey,
    point: Vec<u8>,
}

impl PrivateP256 {
    fn load(scalar: &[u8; 32]) -> Option<Self> {
        let key = p256::ecdsa::SigningKey::from_slice(scalar).ok()?;
        let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Some(Self { key, point })
    }
}

impl SigningKey for PrivateP256 {
    fn public_key(&self) -> &[u8] {
        &self.point
    }

    fn sign(&self, message: &[u8], entropy: &Entropy) -> Option<[u8; SIGNATURE_BYTES]> {
        let digest = Sha256::digest(message);
        let signature: p256::ecdsa::Signature = self.key.sign_prehash_with_rng(&mut entropy.source(), &digest).ok()?;
        Some(signature.to_bytes().into())
    }
}
