//! Tests with a real solver, which `scripts/solver` installs.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may panic"
)]

mod access;
mod assumed;
mod changes;
mod differential;
mod examples;
mod generated;
mod guardrails;
mod lints;
mod scale;
mod solvers;
mod support;
