//! End-to-end tests of the program: the standalone host with small guests, and output that can't be written.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod printed;
mod serve;
mod stalled;
mod support;
mod unread;
mod vectors;
