//! The endpoints with in-memory ports: what they refuse, and which calls they make.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod callers;
mod fake;
mod forward_auth;
mod introspection;
mod operations;
mod published;
mod token_revocation;
