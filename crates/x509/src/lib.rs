//! Certificates of epoch keys: making them for the root signing key of an HSM, and verifying them against a pinned root
//! (`docs/pinning.md`, RFC 5280).
//!
//! Does not read a clock, generate randomness or hold private keys; a [`Draft`] is signed elsewhere.
//!
//! Entry points: for the gateway [`RootKey::draft`] and [`RootCertificate::leaf`]; for verifiers
//! [`PinnedRoot`].
//!
//! Invariants: equal input makes equal drafts, so gateways of one root can't contradict each other; a leaf names its
//! issuer, can't certify other keys, and is valid exactly as long as its key is published.
//!
//! ```
//! use ring::rand::SystemRandom;
//! use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
//! use vouchsafe_x509::{EpochLeaf, LeafKey, PinnedRoot, RootCertificate, RootKey};
//!
//! // A key pair in software, in place of the HSM's.
//! let (random, scheme) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
//! let document = EcdsaKeyPair::generate_pkcs8(scheme, &random).unwrap();
//! let pair = EcdsaKeyPair::from_pkcs8(scheme, document.as_ref(), &random).unwrap();
//! let sign = |message: &[u8]| pair.sign(&random, message).unwrap().as_ref().to_vec();
//! let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
//!
//! let now = 1_800_000_000;
//! let key = RootKey::p256(x.try_into().unwrap(), y.try_into().unwrap()).unwrap();
//! let draft = key.draft(now).unwrap();
//! let signature = sign(draft.message());
//! let root = RootCertificate::new(&draft.signed(&signature).unwrap(), key).unwrap();
//!
//! let leaf = EpochLeaf {
//!     issuer: "https://broker.example",
//!     group: "default",
//!     generation: 1,
//!     epoch_start: now,
//!     algorithm: "EdDSA",
//!     key: LeafKey::Ed25519([7; 32]),
//!     not_before: now - 7200,
//!     not_after: now + 7200,
//! };
//! let draft = root.leaf(&leaf).unwrap();
//! let signature = sign(draft.message());
//! let certificate = draft.signed(&signature).unwrap();
//!
//! // A verifier that pins the root.
//! let pinned = PinnedRoot::from_pem(root.to_pem().unwrap().as_bytes()).unwrap();
//! assert!(pinned.vouches_for(&certificate, &leaf.key, leaf.issuer, now).is_ok());
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod error;
mod issue;
mod key;
mod pin;
#[cfg(test)]
mod testing;

pub use error::CertificateError;
pub use issue::{Draft, EpochLeaf, ROOT_BACKDATE_SECONDS, RootCertificate};
pub use key::{LeafKey, RootKey};
pub use pin::{PinError, PinnedLeaf, PinnedRoot};
