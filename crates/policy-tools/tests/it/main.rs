//! Tests of the public interface.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod changes;
mod default_bundle;
mod differences;
mod layout;
mod lint;
mod reports;
mod scaffolds;
mod suites;
mod support;
