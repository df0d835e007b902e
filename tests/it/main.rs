//! What the broker promises, held against the real thing over HTTP.
//!
//! `scripts/build-components && cargo build -p vouchsafe` first.

mod bench;
mod claims;
mod corpora;
mod crash;
mod epochs;
mod framing;
mod headers;
mod hostile;
mod issuers;
mod ledger;
mod malformed_http;
mod race;
mod requests;
mod states;
