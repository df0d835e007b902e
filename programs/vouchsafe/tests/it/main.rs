//! The standalone host with small guests of its own: what a guest can do to others, and can't.

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
