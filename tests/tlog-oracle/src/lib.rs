//! An independent implementation of transparency logs, for tests of `vouchsafe-tlog`.
//!
//! A crate of its own, and no development dependency: otherwise `cargo test` would build a crate that wasmtime uses with
//! other features than `cargo build`, and compile wasmtime twice.

pub use tlog_tiles::{tile, tlog};
