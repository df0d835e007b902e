//! What the project's HTTP/1.1 servers have in common: the standalone host, `hsm-gateway` and the dev issuer.
//!
//! It accepts connections up to a limit, limits how long a client may take to send a head or to read an answer, drains
//! when the server stops, and serves metrics. It has no routes and no TLS handshake: each server passes its own
//! connection handler, and gets from here what that handler needs ([`serve_connection`], [`linger`], [`json_reply`],
//! [`tls`]).
//!
//! Entry points: [`serve`] and [`serve_metrics`].
//!
//! Invariants: no client holds a connection without a time limit, and connections never use up the file descriptors
//! of other listeners.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod accept;
mod connection;
mod limits;
pub mod linger;
pub mod log;
mod metrics;
mod reply;
mod signals;
pub mod tls;

pub use accept::{bind, serve};
pub use connection::{Drain, serve_connection};
pub use limits::{CONNECTIONS_MAX, Limits};
pub use metrics::{Exemplar, MetricsText, serve_metrics};
pub use reply::json_reply;
pub use signals::stop_signal;
