//! Verification of subject tokens (RFC 8693 §2.1, RFC 7519 §7.2), and retrieval of issuers' keys.
//!
//! Does not read a clock, open a connection or decide policy: `now` is a parameter and the network a port
//! ([`DocumentSource`]). Entry points: [`TrustedIssuer`], [`fetch_keys`] and [`UnverifiedToken`].
//!
//! Invariants: a [`VerifiedSubject`] exists only if every check of [`verify`] passed; only URLs that [`KeyUrl`] accepts
//! are fetched, and no token can choose one.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod actors;
mod bearer;
mod claims;
mod discovery;
mod error;
mod fetch;
mod freshness;
mod issued;
mod issuer;
mod proofs;
mod template;
#[cfg(test)]
mod testkit;
mod trusted_keys;
mod url;
mod verify;

pub use actors::ISS_BYTES_MAX;
pub use bearer::{BEARER_BYTES_MAX, Bearer};
pub use claims::{CLAIMS_MAX, JTI_BYTES_MAX, NUMERIC_DATE_MAX, SUB_BYTES_MAX};
pub use discovery::DISCOVERY_BYTES_MAX;
pub use error::{ClaimName, DocumentError, FetchError, TokenError};
pub use fetch::{Answer, DocumentSource, ETAG_BYTES_MAX, fetch_keys};
pub use freshness::KEYS_AGE_SECONDS_MIN;
pub use issued::ISSUED_AHEAD_SECONDS_MAX;
pub use issuer::{IssuerError, LEEWAY_SECONDS_MAX, TrustedIssuer};
pub use proofs::{PROOFS_MAX, ProofCache};
pub use template::{SubjectTemplate, TEMPLATE_BYTES_MAX, TemplateError};
pub use trusted_keys::{ParsedKeys, TrustedKeys};
pub use url::{KeyUrl, URL_BYTES_MAX, UrlRejection};
pub use verify::{UnverifiedToken, VerifiedSubject, verify};
