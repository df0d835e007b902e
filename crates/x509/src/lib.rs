//! Certificates of epoch keys: what the root signing key of an HSM says of them, and how a verifier that
//! pins the root checks it (`docs/pinning.md`, RFC 5280).
//!
//! Does not read a clock, make randomness or hold a private key: a [`Draft`] is signed elsewhere.
//!
//! Entry points: for the gateway [`RootKey::draft`] and [`RootCertificate::leaf`]; for verifiers
//! [`PinnedRoot`].
//!
//! Invariants: equal input makes equal drafts, so gateways of one root can't contradict each other; a leaf
//! names its issuer, can't certify, and is valid for as long as its key is published.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

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
