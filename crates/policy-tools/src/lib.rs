//! Tools for authors of trust bundles, on workstations and in CI.
//!
//! Does not access a clock, a file or the network: bundles are passed as [`vouchsafe_policy::BundleFiles`]. No
//! component depends on this crate. Every decision is made by [`vouchsafe_policy::Bundle::decide`], as in the broker.
//! Entry points: [`lint::check`], [`run`], [`explain::explain`], [`diff::diff`].

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod access;
pub mod cases;
mod cedar;
mod change;
mod claims;
mod conditions;
mod coverage;
pub mod diff;
mod error;
pub mod explain;
mod format;
pub mod graph;
mod junit;
mod limits;
pub mod lint;
mod outcome;
mod profiles;
mod recorded;
pub mod report;
pub mod scaffold;
mod schemas;
mod suite;
mod token;
mod xml;

pub use access::access;
pub use cedar::{CedarSuite, export, export_profiles};
pub use change::{Change, DECISIONS_MAX, smallest_change};
pub use claims::{ClaimsError, principal_of_claims};
pub use coverage::{ConditionCoverage, PolicyCoverage, coverage};
pub use error::{CheckError, SuiteError};
pub use format::{FormatError, format_policies};
pub use graph::Graph;
pub use junit::junit;
pub use limits::refusals;
pub use outcome::outcome;
pub use profiles::Profiles;
pub use recorded::{RecordError, RecordedRequest};
pub use schemas::schemas;
pub use suite::{CaseResult, Suite, Verdict, run};
