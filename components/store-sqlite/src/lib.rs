//! The store component: exports `vouchsafe:store` on Spin's SQLite.
//!
//! `crates/store` contains the SQL and the limits; this component adds the connection, the clock and the deadlines.
//! Imports only `spin:sqlite`.

mod bindings;
mod convert;
mod deadlines;
mod exports;
mod ports;
