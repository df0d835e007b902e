//! Canaries: trying something new on a share of the workloads, and deciding whether it is worse than the old.
//!
//! Uses no other module, and is independent of what is tried: the gateway tries key versions.
//!
//! - [`RolloutSecret::place`] says which workloads belong to a share.
//! - [`judge`] compares the outcomes of the canary with those of the version that it is to replace.

mod analysis;
mod share;

pub use analysis::{CANARY_OUTCOMES_MIN, Outcomes, Verdict, judge};
pub use share::{Place, RolloutSecret, WORKLOAD_BYTES_MAX, Workload};
