//! Runs the real programs: `vouchsafe serve`, a scripted issuer, `hsm-gateway` with SoftHSM.
//!
//! Talks HTTP only, and reads what an operator could read: log lines and the database. Depends on none of the project's
//! own crates, so that a fault in one can't hide itself here. Entry points: [`broker::Setup`] for a broker,
//! [`issuer::Issuer`] for an issuer, [`proxy::Proxy`] for a proxy, [`exchange::Form`] for requests, [`hsm::GatewaySetup`] for a gateway.
//!
//! Invariants: no verdict depends on the speed of the machine; a process ends with the value that owns it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

pub mod administration;
pub mod broker;
pub mod bundle;
pub mod cases;
pub mod exchange;
pub mod hsm;
pub mod http;
pub mod issuer;
pub mod jwt;
pub mod keys;
mod log;
pub mod ports;
pub mod proof;
pub mod proxy;
pub mod scene;
pub mod strict_verifier;
pub mod tls;

/// The current time in Unix seconds, as a broker without `--danger-now` sees it.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
