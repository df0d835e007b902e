//! The standalone host: runs the application of a `spin.toml` without Spin.
//!
//! It composes the components as Spin does (`compose`), grants what the manifest grants and nothing else
//! (`state`), reuses instances (`instances`) and serves HTTP/1.1 (`server`). It adds what Spin lacks:
//! deadlines for requests, headers, bodies and CPU time, a drain, checks of the addresses that guests connect to
//! (`outbound`), a proxy for outbound https (`proxy`), reloads of the bundle (`reload`), and metrics.
//!
//! It serves plain HTTP, behind a reverse proxy, and has no other trigger. It does not read the command line, and prints
//! only log lines.
//!
//! Entry point: [`Application::read`], then [`Application::start`] and [`Host::serve`].
//!
//! Invariants: a dependency reaches nothing that it does not inherit; a guest connects to no address that was not
//! checked; no client holds a connection, an instance or a CPU without a bound.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod app;
mod application;
mod application_log;
mod bindings;
mod bundle;
mod cause;
mod client;
mod clock;
mod components;
mod compose;
mod concurrency;
mod config;
mod continuity;
mod cpu;
mod crypto;
mod directories;
mod empty;
mod engine;
mod error;
mod exposed;
mod grants;
mod headers;
mod host;
mod instances;
mod key_times;
mod lanes;
mod link;
mod loader;
mod merge_delay;
mod metrics;
mod networks;
mod outbound;
mod output;
mod postgres;
mod proxy;
mod reload;
mod remembered;
mod server;
mod space;
mod spans;
mod spin;
mod spin_postgres;
mod sqlite;
mod state;
mod store;
mod tls;
mod transparency;
mod variables;

pub use application::{Application, Options};
pub use bundle::{CREDENTIALS, POLICIES};
pub use client::{Answer, Client, ClientError};
pub use components::{CryptoPlace, StorePlace};
pub use error::{ErrorKind, HostError};
pub use exposed::Exposed;
pub use host::Host;
pub use instances::Lifetime;
pub use key_times::KeyTimes;
pub use postgres::admin;
pub use spans::{Exchanged, Spans};
pub use variables::readable_warning;
