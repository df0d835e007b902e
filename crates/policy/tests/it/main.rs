//! The policy crate from outside, one module per question.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod addresses;
mod bundles;
mod cautions;
mod corpora;
mod credentials;
mod deciders;
mod decisions;
mod default_bundle;
mod differential;
mod explanations;
mod folders;
mod hidden;
mod language;
mod lints;
mod messages;
mod places;
mod strangers;
mod support;
mod tenants;
