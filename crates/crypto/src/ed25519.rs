//! EdDSA over Ed25519 (RFC 8032 §5.1), for both adapters.

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use sha2::Sha512;

use crate::entropy::Entropy;
use crate::port::{SIGNATURE_BYTES, SigningKey, VerifyingKey};

pub(crate) struct Public(ed25519_dalek::VerifyingKey);

impl Public {
    pub(crate) fn load(point: &[u8]) -> Option<Self> {
        let point = point.try_into().ok()?;
        if !is_canonical(point) {
            return None;
        }
        let key = ed25519_dalek::VerifyingKey::from_bytes(point).ok()?;
        if key.is_weak() { None } else { Some(Self(key)) }
    }
}

impl VerifyingKey for Public {
    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        // Strict: rejects keys and commitments of small order (RFC 8032 §5.1.7 leaves this open).
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

/// Whether y, the little-endian bytes without the sign bit, is less than 2^255 − 19 (RFC 8032 §5.1.3).
fn is_canonical(point: &[u8; 32]) -> bool {
    let [lowest, middle @ .., highest] = point;
    let is_largest = middle.iter().all(|byte| *byte == 0xff) && highest & 0x7f == 0x7f;
    !is_largest || *lowest < 0xed
}

pub(crate) struct Private(ed25519_dalek::SigningKey);

impl Private {
    pub(crate) fn load(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }
}

impl SigningKey for Private {
    fn public_key(&self) -> &[u8] {
        self.0.as_ref().as_bytes()
    }

    fn sign(&self, message: &[u8], entropy: &Entropy) -> Option<[u8; SIGNATURE_BYTES]> {
        let mut expanded = ExpandedSecretKey::from(self.0.as_bytes());
        entropy.hedge(&mut expanded);
        Some(raw_sign::<Sha512>(&expanded, message, self.0.as_ref()).to_bytes())
    }
}
