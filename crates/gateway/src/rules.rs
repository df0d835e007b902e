//! The gateway's configuration of key groups, keys and credentials, checked as a whole.

mod admins;
mod callers;
mod checks;
mod entries;
mod files;
mod size;

pub use admins::Admins;
pub use callers::{Caller, Rules};
pub use entries::{Group, KeyAlgorithm, KeyRule, RuleError};
pub use files::{AdminFile, CredentialFile, GroupFile, KeyFile};

#[cfg(test)]
#[path = "rules_tests.rs"]
pub(crate) mod tests;
