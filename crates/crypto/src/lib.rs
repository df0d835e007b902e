//! Signature arithmetic over keys, messages and signatures: the port that verification and signing use.
//!
//! Parses no JWK, token or other untrusted text, and decides nothing: `vouchsafe-jose` chooses which keys are acceptable,
//! `vouchsafe-signer` what is signed. Reads no clock.
//!
//! Entry point: [`Crypto`], with two adapters. [`Software`] is pure Rust and runs anywhere, also in WebAssembly. [`Native`]
//! (feature `native`) uses `ring` for RSA and ECDSA; programs use it, and `vouchsafe serve` offers it to its components
//! (`wit/crypto`).
//!
//! Invariants: both adapters accept the same keys and the same signatures, which the tests compare; private keys are
//! used in constant time only, by stock crates, and never printed.
//!
//! ```
//! use vouchsafe_crypto::{Crypto, Entropy, ENTROPY_BYTES, PrivateNumbers, PublicNumbers, Software};
//!
//! let key = Software.signing_key(PrivateNumbers::Ed25519(&[7; 32])).unwrap();
//! // Fresh randomness in production.
//! let signature = key.sign(b"message", &Entropy::from_bytes([1; ENTROPY_BYTES])).unwrap();
//! let public = Software.verifying_key(PublicNumbers::Ed25519(key.public_key())).unwrap();
//! assert!(public.verifies(b"message", &signature));
//! assert!(!public.verifies(b"another message", &signature));
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod ed25519;
mod entropy;
#[cfg(feature = "native")]
mod native;
mod port;
mod rsa;
mod software;

pub use entropy::{ENTROPY_BYTES, Entropy};
#[cfg(feature = "native")]
pub use native::Native;
pub use port::{Crypto, PrivateNumbers, PublicNumbers, SIGNATURE_BYTES, SigningKey, VerifyingKey};
pub use software::Software;

#[cfg(test)]
mod tests;
