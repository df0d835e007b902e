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

mod issue;
mod key;
mod pin;
#[cfg(test)]
mod testing;

pub use issue::{Draft, EpochLeaf, ROOT_BACKDATE_SECONDS, RootCertificate};
pub use key::{LeafKey, RootKey};
pub use pin::{PinError, PinnedLeaf, PinnedRoot};

/// What was to be certified can't be written as a certificate, or was not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the issuer's URL is not ASCII")]
    Issuer,
    #[error("the key group's name is not `[a-z0-9-]{{1,64}}`")]
    Group,
    #[error("it is not a certificate of a root signing key")]
    Root,
    #[error("it can't be encoded as X.509")]
    Encoding,
    #[error("the signature has not the 64 bytes of ES256")]
    Signature,
}
