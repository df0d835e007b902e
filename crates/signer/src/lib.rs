//! Epoch keys and the tokens they sign (`docs/epoch-keys.md`).
//!
//! Does not read a clock, variables, randomness or the network; all of them are passed in. Does not decide who may have
//! a token; it only refuses what its own configuration forbids, whoever asks.
//!
//! Entry points: [`Config::parse`] and [`Root::parse`], then [`Signer::new`] and [`Signer::sign`]. A signer whose root is
//! elsewhere uses [`Config::allow`] for the ceilings and [`EpochKey::from_seed`] for the keys.
//!
//! Invariants: a request never widens a ceiling of [`Config`]; every token expires at least 60 s before its key leaves
//! the JWK Set (I3); seeds and private keys exist only in memory and are never printed.
//!
//! ```
//! use vouchsafe_signer::{
//!     Config, ENTROPY_BYTES, Entropy, Root, Signer, SigningRequest, Tier, TokenType, UnixSeconds, Variables,
//! };
//!
//! let mut variables = Variables {
//!     development: "false".to_owned(),
//!     issuer: "https://broker.example".to_owned(),
//!     signer_algorithms: "EdDSA".to_owned(),
//!     signer_audiences: "https://deploy.example".to_owned(),
//!     signer_epoch: "3600".to_owned(),
//!     signer_generation: "1".to_owned(),
//!     signer_group: "default".to_owned(),
//!     signer_lifetime_max: "900".to_owned(),
//!     ..Variables::default()
//! };
//! // 32 random bytes in base64url.
//! variables.signer_root.push_str(&"A".repeat(43));
//! let mut signer = Signer::new(Config::parse(&variables)?, Root::parse(&variables)?, &vouchsafe_crypto::Software);
//!
//! let now = UnixSeconds(1_800_000_000);
//! let request = SigningRequest {
//!     issuer: "https://broker.example".to_owned(),
//!     view: None,
//!     subject: "github:repo:acme/app:ref:refs/heads/main".to_owned(),
//!     audience: "https://deploy.example".to_owned(),
//!     tier: Tier::Delegated,
//!     algorithm: "EdDSA".to_owned(),
//!     token_type: TokenType::AccessToken,
//!     issued_at: now.0,
//!     lifetime_seconds: 300,
//!     jti: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
//!     scopes: vec![],
//!     extra_claims: vec![],
//!     key_thumbprint: None,
//!     actors: Vec::new(),
//!     txn: None,
//!     status: None,
//!     presented: None,
//! };
//! // Fresh randomness from the host in production.
//! let token = signer.sign(&request, now, &Entropy::from_bytes([7; ENTROPY_BYTES]))?;
//! assert!(signer.public_keys(1, now)?.document.contains(&token.kid));
//! # Ok::<(), vouchsafe_signer::Error>(())
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod algorithm;
mod ceilings;
mod claims;
mod config;
mod document;
mod epoch;
mod error;
mod introspection;
mod issuer;
mod jwk;
mod key;
mod log;
mod nonce;
mod request;
mod revocations;
mod root;
mod signer;
mod status;

pub use algorithm::Algorithm;
pub use ceilings::{
    AUDIENCE_BYTES_MAX, AllowedToken, EXTRA_CLAIM_BYTES_MAX, EXTRA_CLAIMS_MAX, ISSUED_AT_SKEW_SECONDS_MAX,
    JTI_BYTES_MAX, SCOPE_BYTES_MAX, SCOPES_MAX, SUBJECT_BYTES_MAX,
};
pub use claims::{NOT_BEFORE_SECONDS, header};
pub use config::{Config, Variables};
pub use document::AllowedDocument;
pub use epoch::{EPOCH_SECONDS_MAX, EPOCH_SECONDS_MIN, Epoch, KeyDerivationInfo, SEED_BYTES, Seed, label};
pub use error::{Ceiling, Error, Fault, Variable};
pub use introspection::{INTROSPECTION_BYTES_MAX, INTROSPECTION_TYP};
pub use jwk::{CurvePoint, PublicJwk};
pub use key::EpochKey;
pub use revocations::{REVOCATIONS_BYTES_MAX, REVOCATIONS_LIFETIME_SECONDS, REVOCATIONS_TYP};
pub use root::Root;
pub use signer::{MAX_AGE_SECONDS, Signer, public_key_set};
pub use status::{STATUS_LIST_LIFETIME_SECONDS, STATUS_LIST_TYP};
pub use vouchsafe_crypto::{ENTROPY_BYTES, Entropy};
pub use vouchsafe_types::{
    Audience, ExtraClaim, PresentedIdentity, PublicKeySet, RevocationList, RevocationRule, SignedToken, SignerSettings,
    SigningRequest, StatusList, StatusReference, Superseded, Tier, TokenType, UnixSeconds,
};

#[cfg(test)]
mod tests;
