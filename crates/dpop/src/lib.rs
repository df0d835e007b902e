//! Proofs of possession (RFC 9449): with each request, a client proves that it holds the key that its token is bound to.
//!
//! Reads no clock and no randomness, and keeps nothing: whoever calls [`verify`] makes sure that a proof is used once, and
//! that its key is the one that a token names, and compares its nonce.
//!
//! Entry points: [`verify`] for servers, [`ProofKey`] for clients.
//!
//! Invariants: a proof counts only for the method and URL that the caller names, which are never taken from the proof;
//! nothing is verified with a private or a weak key.
//!
//! ```
//! use vouchsafe_crypto::{ENTROPY_BYTES, Entropy, Software};
//! use vouchsafe_dpop::{Made, ProofError, ProofKey, Request, UnixSeconds, verify};
//!
//! // Fresh randomness in production, as are `jti` and entropy.
//! let key = ProofKey::from_scalar(&[7; 32], &Software).unwrap();
//! let now = UnixSeconds(1_800_000_000);
//! let request = Request { method: "POST", url: "https://broker.example/token", access_token: None };
//! let made = Made { at: now, jti: "AAECAwQFBgcICQoLDA0ODw", nonce: None };
//! let proof = key.prove(request, &made, &Entropy::from_bytes([1; ENTROPY_BYTES])).unwrap();
//!
//! assert_eq!(verify(&proof, request, now, &Software).unwrap().key_thumbprint, key.thumbprint());
//! let other = Request { url: "https://other.example/token", ..request };
//! assert_eq!(verify(&proof, other, now, &Software), Err(ProofError::UrlMismatch));
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod key;
mod proof;
mod request;
mod url;

pub use key::{Made, ProofKey};
pub use proof::{JTI_BYTES_MAX, NONCE_BYTES_MAX, PROOF_AHEAD_SECONDS_MAX, verify};
pub use request::Request;
pub use vouchsafe_types::{PROOF_AGE_SECONDS_MAX, PROOF_BYTES_MAX, ProofError, UnixSeconds, VerifiedProof};
