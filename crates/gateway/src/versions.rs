//! Versions of a key that signs tokens, and their states: `pending → canary → active → retiring → retired`.
//!
//! The state of a version is in the `CKA_ID` of its private key on the PKCS#11 token, so that all gateways of that
//! token agree. PKCS#11 has single writes without compare-and-swap. Therefore an operation is a list of writes of which
//! every prefix is a valid state. A prefix can leave two versions `active`; then the later one signs and the other
//! counts as retiring.
//!
//! Two gateways that create a version at the same time can leave duplicates. A duplicate version neither signs nor is
//! published, because nobody can tell which of the two is meant.
//!
//! Does not read a clock; the time is a parameter.
//!
//! Invariants, for all operations in any order: at most one version is active and at most one is a canary; a version is
//! published for [`PUBLISHED_SECONDS_MIN`] before it signs (except the first one, which every verifier knows); a version
//! that has signed is published until all its tokens have expired; a retired version never signs and is never published
//! again; no number is used twice.

mod key_versions;
mod operations;
mod record;

pub use crate::timing::{PUBLISHED_SECONDS_MIN, STATES_FRESH_SECONDS, WITHDRAWN_SECONDS_MIN};
pub use key_versions::{KeyVersions, PUBLISHED_MAX};
pub use operations::{KeyOperation, OperationError, Plan};
pub use record::{RECORD_BYTES, VersionRecord, VersionState};

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
