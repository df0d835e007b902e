//! Kubernetes service account tokens, as projected into pods (TokenRequest API).
//!
//! The claims of the private `kubernetes.io` object become attributes of flat names ([`CLAIMS`]).
//! `sub` is never parsed. Tokens of the old kind, from secrets, have neither `exp` nor `aud` nor that
//! object, and are refused for each of the three.

mod claims;

pub use claims::CLAIMS;

/// `provider` in an issuer's file.
pub const NAME: &str = "kubernetes";

/// Cedar entity type of a service account's token.
pub const ENTITY_TYPE: &str = "Kubernetes::ServiceAccount";
