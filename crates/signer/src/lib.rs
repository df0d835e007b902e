//! Epoch keys and the tokens they sign (`docs/epoch-keys.md`).
//!
//! Does not read a clock, a variable, randomness or the network: all of them are passed in. Does not decide who
//! may have a token: it only refuses what its own configuration forbids, whoever asks.
//!
//! Entry points: [`Config::parse`] and [`Root::parse`], then [`Signer::new`], then [`Signer::sign`]. A
//! signer whose root is elsewhere has [`Config::allow`] for the ceilings and [`EpochKey::from_seed`]
//! for the keys.
//!
//! Invariants: a request never widens a ceiling of [`Config`]; no token outlives its key's place in
//! the JWK Set less 60 s (I3); seeds and private keys live in memory only and are never printed.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

mod algorithm;
mod ceilings;
mod claims;
mod config;
mod entropy;
mod epoch;
mod error;
mod issuer;
mod jwk;
mod key;
mod request;
mod root;
mod signer;

pub use algorithm::Algorithm;
pub use ceilings::{
    AUDIENCE_BYTES_MAX, AllowedToken, EXTRA_CLAIM_BYTES_MAX, EXTRA_CLAIMS_MAX,
    ISSUED_AT_SKEW_SECONDS_MAX, JTI_BYTES_MAX, SCOPE_BYTES_MAX, SCOPES_MAX, SUBJECT_BYTES_MAX,
};
pub use claims::{NOT_BEFORE_SECONDS, header};
pub use config::{Config, Variables};
pub use entropy::{ENTROPY_BYTES, Entropy};
pub use epoch::{EPOCH_SECONDS_MAX, EPOCH_SECONDS_MIN, Epoch, SEED_BYTES, Scope, Seed, label};
pub use error::{Ceiling, Error, Fault, Variable};
pub use jwk::{CurvePoint, PublicJwk};
pub use key::EpochKey;
pub use root::Root;
pub use signer::{MAX_AGE_SECONDS, Signer, public_key_set};
pub use vouchsafe_types::{
    ExtraClaim, PresentedIdentity, PublicKeySet, SignedToken, SignerSettings, SigningRequest, Tier,
    TokenType, UnixSeconds,
};

#[cfg(test)]
mod tests;
