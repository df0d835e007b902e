//! The broker's state in SQLite or PostgreSQL: single use, audit, revocations, leases, documents, pointers.
//!
//! Does not open a database, read a clock or depend on a host: it runs [`Statement`]s through a [`Database`], and the time
//! is a parameter.
//!
//! Entry points: [`Store::open`], then its methods.
//!
//! Invariants: every write is one statement, because on Spin all instances share one connection, so a transaction of one
//! instance would include the writes of others (I10); nothing is answered before the statement's final result, and what
//! is not confirmed in time counts as failed; `changes()` is never read, since it is shared too; a consumed key is never
//! fresh again (I4); no
//! token is recorded as issued that a revocation matches (I11).
//!
//! ```
//! use rusqlite::types::Value as Sql;
//! use std::future::{Future, pending};
//! use vouchsafe_store::{
//!     Cause, Consumption, Database, Deadline, Dialect, Error, Row, Statement, Store, UnixMilliseconds, Value,
//! };
//!
//! /// A database that never waits, so no call needs to be woken.
//! struct Sqlite(rusqlite::Connection);
//!
//! impl Database for Sqlite {
//!     const DIALECT: Dialect = Dialect::Sqlite;
//!     type Alarm = ();
//!
//!     fn alarm(&self) -> ((), impl Future<Output = ()>) {
//!         ((), pending())
//!     }
//!
//!     async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
//!         query(&self.0, statement).map_err(|error| Error::Unavailable(Cause::Io(error.to_string())))
//!     }
//! }
//!
//! fn query(connection: &rusqlite::Connection, statement: Statement) -> rusqlite::Result<Vec<Row>> {
//!     let parameters = statement.parameters.into_iter().map(|value| match value {
//!         Value::Integer(number) => Sql::Integer(number),
//!         Value::Text(text) => Sql::Text(text),
//!         Value::Blob(_) | Value::Null | Value::Real(_) => Sql::Null,
//!     });
//!     let mut prepared = connection.prepare(&statement.sql)?;
//!     let columns = prepared.column_count();
//!     let rows = prepared.query_map(rusqlite::params_from_iter(parameters), |row| {
//!         let column = |index: usize| {
//!             Ok(match row.get::<_, Sql>(index)? {
//!                 Sql::Integer(number) => Value::Integer(number),
//!                 Sql::Text(text) => Value::Text(text),
//!                 Sql::Blob(_) | Sql::Null | Sql::Real(_) => Value::Null,
//!             })
//!         };
//!         (0..columns).map(column).collect()
//!     })?;
//!     rows.collect()
//! }
//!
//! async fn use_twice(path: &std::path::Path) -> Result<[Consumption; 2], Error> {
//!     let connection = rusqlite::Connection::open(path).expect("a new database");
//!     let now = UnixMilliseconds(1_800_000_000_000);
//!     let store = Store::open(Sqlite(connection), now).await?;
//!     let mut results = Vec::new();
//!     for _ in 0..2 {
//!         let mut deadline = Deadline::new(pending());
//!         let (issued_at, keep_until) = (1_800_000_000, 1_800_000_600);
//!         results.push(store.consume("a token's id", 1, issued_at, keep_until, now, &mut deadline).await?);
//!     }
//!     Ok([results[0], results[1]])
//! }
//!
//! # use std::task::{Context, Poll, Waker};
//! # fn block_on<T>(future: impl Future<Output = T>) -> T {
//! #     let mut future = std::pin::pin!(future);
//! #     match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
//! #         Poll::Ready(output) => output,
//! #         Poll::Pending => unreachable!("the database never waits"),
//! #     }
//! # }
//! # let path = std::env::temp_dir().join(format!("vouchsafe-store-{}.db", std::process::id()));
//! let results = block_on(use_twice(&path)).unwrap();
//! assert_eq!(results, [Consumption::Fresh, Consumption::Spent]);
//! # std::fs::remove_file(path).unwrap();
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod audit;
mod audit_row;
mod consume_row;
mod continuity;
mod database;
mod deadline;
mod error;
mod group;
mod leaf;
mod log;
mod log_statements;
pub mod postgres;
mod revocation_list;
mod revocation_rows;
mod revocations;
mod space;
mod sqlite;
mod statements;
mod status_list;
mod store;
mod time;

pub use audit_row::{
    AUDIT_ENTRY_BYTES_MAX, DECISION_ID_BYTES_MAX, GENERATION_OF_BYTES_MAX, REFUSALS_IN_FULL_MAX,
    REFUSALS_PER_ISSUER_MAX, REFUSALS_PER_MINUTE_MAX, REFUSED_KEY_BYTES_MAX,
};
pub use continuity::{ALIVE_SECONDS, Continuity, keep_alive};
pub use database::{Database, Dialect, Row, Statement, Value};
pub use deadline::Deadline;
pub use error::{Cause, Error, Limit};
pub use leaf::{COMMITTED, Leaf};
pub use log::{LEAVES_PER_PASS_MAX, pointer_name as log_pointer_name};
pub use log_statements::hashes as tile_hashes;
pub use revocation_list::{LISTED_TOKENS_MAX, LISTED_TOKENS_PER_WORKLOAD_MAX};
pub use revocation_rows::{
    DECISIONS_COUNTED_MAX, FILTER_BYTES_MAX, REVOCATIONS_MAX, TOKEN_SECONDS_MAX, TOKENS_MAX, WORKLOADS_MAX,
};
pub use space::{SPACE_LOW_BYTES, note_space};
pub use statements::pointer_get;
pub use status_list::{STATUS_BLOCK_INDEXES, STATUS_LISTS_MAX};
pub use store::{
    BODY_BYTES_MAX, KEY_BYTES_MAX, LEASE_MS_MAX, NAME_BYTES_MAX, POINTER_BYTES_MAX, Store, USES_PER_CALL_MAX,
};
pub use time::{GAP_SECONDS, UnixMilliseconds};
pub use vouchsafe_types::{
    Added, Affected, AffectedWorkload, Attribution, AuditRecord, Consumption, Document, Generation, IssuedTokens,
    Lifted, Limited, LogProof, Pointer, Recorded, RecordedActor, Refused, RefusedKind, Revocation, RevocationList,
    RevocationRule, RevocationTarget, Space, StatusBlock, StatusList, StatusReference, TokenFilter, TokenUse, TreeHead,
};

#[cfg(test)]
mod tests;
