//! Compact JWS and JWK Sets for verifying tokens (RFC 7515, RFC 7517).
//!
//! Verifies signatures only: does not sign, fetch, read a clock or interpret claims (`vouchsafe-identity` does). Never
//! uses a key from a token's header, except to prove possession of that key. The arithmetic is that of a
//! `vouchsafe_crypto::Crypto`.
//!
//! Entry points: [`UnverifiedJws::parse`], [`KeySet::parse`] and [`PublicKey::verify`] for tokens; [`SelfSignedJws::verify`]
//! for proofs of possession.
//!
//! Invariants: an [`UnverifiedJws`] is canonical, so each signing input has one spelling; a [`KeySet`] contains only
//! public signature keys of sufficient strength; no input panics.
//!
//! ```
//! use vouchsafe_crypto::Crypto;
//! use vouchsafe_jose::{KeySet, KeyUse, UnverifiedJws};
//!
//! fn payload(token: &str, key_set: &[u8], crypto: &dyn Crypto) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
//!     let keys = KeySet::parse(key_set, KeyUse::Signature, crypto)?;
//!     let jws = UnverifiedJws::parse(token)?;
//!     let key = keys.find(jws.kid(), jws.algorithm())?;
//!     key.verify(jws.signing_input().as_bytes(), jws.signature())?;
//!     Ok(jws.payload().to_vec())
//! }
//!
//! // The example of RFC 8037 appendix A.4.
//! let key_set = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
//! let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc\
//!     .hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
//! assert_eq!(payload(token, key_set, &vouchsafe_crypto::Software).unwrap(), b"Example of Ed25519 signing");
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod algorithm;
mod base64url;
mod certificate;
mod error;
mod jws;
mod key;
mod key_set;
mod limits;
mod rsa;
mod self_signed;
mod thumbprint;

pub use algorithm::Algorithm;
pub use certificate::certificate_is_of_key;
pub use error::{KeyError, SignatureError};
pub use jws::{JwsError, KID_BYTES_MAX, Malformed, TOKEN_BYTES_MAX, UnverifiedJws};
pub use key::{KeyUse, PublicKey};
pub use key_set::{KEY_SET_BYTES_MAX, KEYS_MAX, KeyLookupError, KeySet, KeySetError, SkippedKey};
pub use limits::{KEY_SET_RSA_BITS_MAX, RSA_EXPONENT_MAX, RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN};
pub use self_signed::{SelfSignedError, SelfSignedJws};
pub use vouchsafe_json::{JSON_DEPTH_MAX, Json, JsonError, JsonObject};
