//! Versions of a key that signs tokens, and how they follow each other: `pending → canary → active →
//! retiring → retired`.
//!
//! Each version's state is kept on the HSM token, in the `CKA_ID` of its private key, so that all gateways
//! of a token agree. A token takes one write at a time and can't compare before it writes: an act is a
//! list of writes in an order of which every beginning is a valid state. The one thing that a beginning
//! can leave is two versions that say `active`; then the one that became so last signs, and the other
//! counts as retiring.
//!
//! A version that the token has twice, as two gateways that make one at once can leave it, neither signs
//! nor is published: which of the two is meant can't be known.
//!
//! Does not read a clock: the moment is passed in.
//!
//! Invariants, for whatever acts in whatever order: at most one version is active and one a canary; a
//! version that signs was published for [`PUBLISHED_SECONDS_MIN`] (but for the first one, which no
//! verifier can have missed); one that has signed is published until every token of it is over; a retired
//! version never signs nor is published again; no number is used twice.

mod acts;
mod key_versions;
mod record;

pub use crate::timing::{PUBLISHED_SECONDS_MIN, STATES_FRESH_SECONDS, WITHDRAWN_SECONDS_MIN};
pub use acts::{Act, ActFault, Plan};
pub use key_versions::{KeyVersions, PUBLISHED_MAX};
pub use record::{RECORD_BYTES, VersionRecord, VersionState};

#[cfg(test)]
#[path = "versions_tests.rs"]
mod tests;
