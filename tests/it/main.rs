//! What the broker promises, held against the real thing over HTTP.
//!
//! `scripts/build-components && cargo build` first.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

mod bench;
mod claims;
mod client_ip;
mod concurrent;
mod corpora;
mod crash;
mod credentials;
mod delegation;
mod denials;
mod documents;
mod epochs;
mod folding;
mod framing;
mod headers;
mod hostile;
mod hsm;
mod hsm_admins;
mod hsm_chaos;
mod hsm_closed;
mod hsm_extraction;
mod hsm_gateway;
mod hsm_generations;
mod hsm_keys;
mod hsm_latency;
mod hsm_limits;
mod hsm_operator;
mod hsm_outages;
mod hsm_pinning;
mod hsm_races;
mod hsm_rollout;
mod hsm_stolen;
mod hsm_torn;
mod hsm_verify;
mod hsm_watch;
mod issued;
mod issuers;
mod issuers_tls;
mod key_states;
mod keys_age;
mod ledger;
mod log;
mod malformed_http;
mod overloaded;
mod policy;
mod providers;
mod race;
mod ready;
mod regressions;
mod requests;
mod restored;
mod space;
mod states;
mod strict;
