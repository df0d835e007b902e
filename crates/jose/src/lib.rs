//! Compact JWS, JWK Sets and strict JSON for tokens that others signed (RFC 7515, RFC 7517).
//!
//! Verifies signatures only. Does not sign, fetch, read a clock, or look at what a claim means:
//! `vouchsafe-identity` does that. A key that a token brings along in its header is never looked at.
//!
//! Entry points: [`UnverifiedJws::parse`], [`KeySet::parse`] and [`PublicKey::verify`].
//!
//! Invariants: an [`UnverifiedJws`] is canonical, so one signing input has one spelling; a
//! [`KeySet`] holds public signature keys of sufficient strength and no secret; no input panics.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

mod algorithm;
mod base64url;
mod certificate;
mod error;
mod jws;
mod key;
mod key_set;
mod limits;
mod montgomery;
mod rsa;

pub use algorithm::Algorithm;
pub use certificate::certificate_is_of_key;
pub use error::{KeyRejection, SignatureInvalid};
pub use jws::{JwsError, KID_BYTES_MAX, Malformed, TOKEN_BYTES_MAX, UnverifiedJws};
pub use key::{KeyUse, PublicKey};
pub use key_set::{KEY_SET_BYTES_MAX, KEYS_MAX, KeyLookupError, KeySet, KeySetError, SkippedKey};
pub use limits::{
    KEY_SET_RSA_BITS_MAX, RSA_EXPONENT_MAX, RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN,
};
/// The arithmetic, for its fuzz target alone.
#[cfg(fuzzing)]
pub use montgomery::Modulus;
pub use vouchsafe_json::{JSON_DEPTH_MAX, Json, JsonError, JsonObject};
