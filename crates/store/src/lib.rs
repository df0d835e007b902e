//! The broker's state in SQLite: single use, audit, leases, documents, pointers.
//!
//! Does not open a database, read a clock or depend on a host: it runs [`Statement`]s through a [`Database`], and the time
//! is a parameter.
//!
//! Entry points: [`Store::open`], then its methods.
//!
//! Invariants: every write is one statement, because on Spin all instances share one connection, so a transaction of one
//! instance would include the writes of others (I10); nothing is answered before the statement's final result, and what
//! is not confirmed in time counts as failed; `changes()` is never read, since it is shared too; a consumed key is never
//! fresh again (I4).

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

mod audit;
mod continuity;
mod database;
mod deadline;
mod error;
mod group;
mod schema;
mod space;
mod statements;
mod store;
mod time;

pub use audit::{
    AUDIT_ENTRY_BYTES_MAX, DECISION_ID_BYTES_MAX, GENERATION_OF_BYTES_MAX, REFUSALS_IN_FULL_MAX,
    REFUSALS_PER_ISSUER_MAX, REFUSALS_PER_MINUTE_MAX, REFUSED_KEY_BYTES_MAX,
};
pub use continuity::{ALIVE_SECONDS, Continuity, GAP_SECONDS, keep_alive};
pub use database::{Database, Row, Statement, Value};
pub use deadline::Deadline;
pub use error::{Cause, Error, Limit};
pub use space::{SPACE_LOW_BYTES, note_space};
pub use store::{
    BODY_BYTES_MAX, KEY_BYTES_MAX, LEASE_MS_MAX, NAME_BYTES_MAX, POINTER_BYTES_MAX, Store,
};
pub use vouchsafe_types::{
    AuditRecord, Consumption, Document, Generation, Limited, Pointer, Recorded, Refused,
    RefusedKind, Space,
};
pub use time::UnixMilliseconds;

#[cfg(test)]
mod tests;
