//! What people do with trust bundles on a workstation and in CI, beside loading and deciding.
//!
//! Does not read a clock, a file or the network: bundles come as [`vouchsafe_policy::BundleFiles`]. The
//! broker never has this crate: what only people need is kept out of the policy component. Everything
//! that is decided here is decided by [`vouchsafe_policy::Bundle::decide`], as in the broker.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

mod cedar;
mod change;
mod coverage;
pub mod diff;
mod format;
mod graph;
mod junit;
mod recorded;
pub mod report;
pub mod scaffold;
mod suite;
mod token;

pub use cedar::{CedarSuite, export, export_profiles};
pub use change::{Change, DECISIONS_MAX, smallest_change};
pub use coverage::{ConditionCoverage, RuleCoverage, coverage};
pub use format::{FormatError, formatted};
pub use graph::Graph;
pub use junit::junit;
pub use recorded::{RecordError, RecordedRequest};
pub use suite::{CaseResult, Suite, Verdict, run};
pub use vouchsafe_policy::json_schema::schemas;
