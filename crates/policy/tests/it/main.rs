//! Tests of the public interface.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod actors;
mod bundles;
mod clients;
mod corpora;
mod credentials;
mod deciders;
mod decisions;
mod differential;
mod folders;
mod guardrails;
mod hidden;
mod language;
mod support;
