//! Epoch keys and the tokens they sign (`docs/epoch-keys.md`).
//!
//! Does not read a clock, a variable or the network: the moment is passed in. Does not decide who
//! may have a token: it only refuses what its own configuration forbids, whoever asks.
//!
//! Entry points: [`Config::parse`], then [`Signer::new`], then [`Signer::sign`].
//!
//! Invariants: a request never widens a ceiling of [`Config`]; no token outlives its key's place in
//! the JWK Set less 60 s (I3); seeds and private keys live in memory only and are never printed.

mod ceilings;
mod claims;
mod config;
mod epoch;
mod error;
mod issuer;
mod json;
mod jwk;
mod key;
mod request;
mod signer;

pub use ceilings::{EXTRA_CLAIMS_MAX, REGISTERED as REGISTERED_CLAIMS};
pub use config::{Config, Variables};
pub use epoch::{EPOCH_SECONDS_MAX, EPOCH_SECONDS_MIN, Epoch};
pub use error::{Ceiling, Error, Fault, Variable};
pub use key::Algorithm;
pub use request::{ExtraClaim, SignedToken, Tier, TokenRequest, TokenType, UnixSeconds};
pub use signer::{MAX_AGE_SECONDS, PublicKeySet, Settings, Signer};

#[cfg(test)]
mod tests;
