//! The tools from outside, one module per question.

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
