//! Roots and leaves with private keys, for tests.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::{EpochLeaf, LeafKey, RootCertificate, RootKey};

pub const ISSUER: &str = "https://broker.example";
pub const NOW: u64 = 1_800_000_000;
pub const HOUR: u64 = 3600;

/// A P-256 key pair.
pub struct Pair(EcdsaKeyPair);

impl Pair {
    pub fn new() -> Self {
        let (random, scheme) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(scheme, document.as_ref(), &random).unwrap())
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), message).unwrap();
        signature.as_ref().to_vec()
    }

    pub fn point(&self) -> ([u8; 32], [u8; 32]) {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        (x.try_into().unwrap(), y.try_into().unwrap())
    }

    pub fn leaf_key(&self) -> LeafKey {
        let (x, y) = self.point();
        LeafKey::P256 { x, y }
    }

    pub fn root_key(&self) -> RootKey {
        let (x, y) = self.point();
        RootKey::p256(&x, &y).unwrap()
    }
}

/// A root with its private key.
pub struct Root {
    pub pair: Pair,
    pub certificate: RootCertificate,
}

impl Root {
    pub fn new() -> Self {
        let pair = Pair::new();
        let key = pair.root_key();
        let draft = key.draft(NOW).unwrap();
        let signature = pair.sign(draft.message());
        let der = draft.signed(&signature).unwrap();
        Self { certificate: RootCertificate::new(&der, key).unwrap(), pair }
    }

    /// The certificate of a leaf, in DER.
    pub fn certify(&self, leaf: &EpochLeaf<'_>) -> Vec<u8> {
        let draft = self.certificate.leaf(leaf).unwrap();
        let signature = self.pair.sign(draft.message());
        draft.signed(&signature).unwrap()
    }
}

/// A leaf that is valid at [`NOW`].
pub fn leaf(key: LeafKey) -> EpochLeaf<'static> {
    EpochLeaf {
        issuer: ISSUER,
        group: "default",
        generation: 1,
        epoch_start: NOW,
        algorithm: "ES256",
        key,
        not_before: NOW - 2 * HOUR,
        not_after: NOW + 2 * HOUR,
    }
}
