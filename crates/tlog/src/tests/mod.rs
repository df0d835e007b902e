//! The formats by published examples, the tree by another implementation.

mod notes;
mod policies;
mod proofs;
mod tiles;
mod tree;

use vouchsafe_crypto::{Crypto as _, Entropy, PrivateNumbers, PublicNumbers, Software};

use crate::*;

fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let key = Software.verifying_key(PublicNumbers::Ed25519(key));
    key.is_some_and(|key| key.verifies(message, signature))
}

/// A key that signs, by the byte of its seed.
struct Signer(u8, VerifierKey);

impl Signer {
    fn new(seed: u8, name: &str, kind: KeyKind) -> Self {
        let key = Software.signing_key(PrivateNumbers::Ed25519(&[seed; 32])).unwrap();
        let public = key.public_key().try_into().unwrap();
        Self(seed, VerifierKey::new(name, kind, public).unwrap())
    }

    fn sign(&self, message: &str) -> Vec<u8> {
        let key = Software.signing_key(PrivateNumbers::Ed25519(&[self.0; 32])).unwrap();
        key.sign(message.as_bytes(), &Entropy::from_bytes([9; 32])).unwrap().to_vec()
    }

    /// The line of a signature or cosignature of `text`.
    fn line(&self, text: &str) -> String {
        match self.1.kind() {
            KeyKind::Ed25519 => self.1.line(&self.sign(text)),
            KeyKind::Cosignature => {
                let time = 1_800_000_000_u64;
                let mut bytes = time.to_be_bytes().to_vec();
                bytes.extend(self.sign(&cosigned_message(time, text)));
                self.1.line(&bytes)
            }
        }
    }
}

fn leaf(number: u64) -> Hash {
    leaf_hash(&number.to_be_bytes())
}

fn tree(size: u64) -> Frontier {
    let mut tree = Frontier::default();
    (0..size).for_each(|number| tree.push(leaf(number)));
    tree
}
