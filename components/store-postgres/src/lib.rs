//! The store component: exports `vouchsafe:store` on Spin's PostgreSQL.
//!
//! `crates/store` contains the SQL and the limits; this component adds the connection, the clock and the deadlines.
//! Imports only `spin:postgres`, and the environment for the database's address.

mod bindings;
mod convert;
#[path = "../../store-sqlite/src/deadlines.rs"]
mod deadlines;
#[path = "../../store-sqlite/src/exports.rs"]
mod exports;
mod ports;
