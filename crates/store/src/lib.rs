//! The broker's state in SQLite: single use, audit, leases, documents, pointers.
//!
//! Does not open a database, read a clock or know a host: it runs [`Statement`]s through a
//! [`Database`] and is told the time.
//!
//! Entry points: [`Store::open`], then its methods.
//!
//! Invariants: every write is one statement, because on Spin all instances share one connection and
//! a transaction of one would swallow the writes of another (I10); no answer is given before the
//! statement's final result, and what is not confirmed in time counts as failed; nothing is read from `changes()`, which is shared too. A consumed key
//! is never fresh again (I4).

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
