//! The statements of documents, pointers and marks, which are the same on every database, and the choice between those
//! that are not.
//!
//! Parameters are numbered `$1`, `$2`, … in the order in which they first occur: SQLite takes these for names and numbers
//! them so itself.

use crate::consume_row::ConsumeRow;
use crate::database::{Dialect, Statement, Value};
use crate::error::Error;
use crate::{postgres, sqlite};

const IS_SPENT: &str = "SELECT 1 FROM consumed WHERE key = $1";
const DOCUMENT_GET: &str = "SELECT body, keep_until FROM documents WHERE name = $1";
const DOCUMENT_PUT: &str = "INSERT INTO documents (name, body, keep_until) VALUES ($1, $2, $3) \
    ON CONFLICT (name) DO UPDATE SET body = excluded.body, keep_until = excluded.keep_until RETURNING 1";
const POINTER_GET: &str = "SELECT value, revision FROM pointers WHERE name = $1";
/// Returns a row only if there was no such pointer.
const POINTER_CREATE: &str = "INSERT INTO pointers (name, value, revision) VALUES ($1, $2, 1) \
    ON CONFLICT (name) DO NOTHING RETURNING revision";
/// Returns a row only if the revision was the expected one.
const POINTER_SWAP: &str = "UPDATE pointers SET value = $1, revision = revision + 1 \
    WHERE name = $2 AND revision = $3 RETURNING revision";
const GENERATION_GET: &str = "SELECT highest FROM generations WHERE name = $1";
/// Records a write at $1. Writes at most once a second, because anyone may trigger it. A mark after $2 comes from a clock that
/// was ahead.
pub(crate) const WRITTEN_MARK_WRITE: &str = "INSERT INTO meta (name, value) VALUES ('written_at', $1) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE meta.value < excluded.value OR meta.value > $2 \
    RETURNING value";
/// How far the clock that wrote the mark may be ahead, in seconds, inclusive.
pub(crate) const WRITTEN_AHEAD_SECONDS_MAX: u64 = 30;
/// Records whether space is low (1) or not (0), if that changed.
pub(crate) const SPACE_WRITE: &str = "INSERT INTO meta (name, value) VALUES ('space_low', $1) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE meta.value <> excluded.value RETURNING value";
/// Reads whether space is low, if the store was marked as in use at $1 or later.
pub(crate) const SPACE_READ: &str = "SELECT value FROM meta WHERE name = 'space_low' \
    AND (SELECT value FROM meta WHERE name = 'alive_at') >= $1";

/// Most rows that one sweep deletes: more than the writes between two sweeps add.
pub(crate) const SWEEP_ROWS_MAX: i64 = 256;

/// The statement that consumes all `rows` and returns a key for each that used it.
pub(crate) fn consume(dialect: Dialect, rows: Vec<ConsumeRow>) -> Statement {
    match dialect {
        Dialect::Postgres => postgres::statements::consume(rows),
        Dialect::Sqlite => sqlite::statements::consume(rows),
    }
}

/// Whether one statement can consume the keys of both.
pub(crate) fn consume_together(dialect: Dialect) -> fn(&Vec<ConsumeRow>, &Vec<ConsumeRow>) -> bool {
    match dialect {
        Dialect::Postgres => |one, other| one.iter().all(|row| other.iter().all(|next| row.key != next.key)),
        Dialect::Sqlite => |_, _| true,
    }
}

pub(crate) fn is_spent(key: &str) -> Statement {
    Statement::new(IS_SPENT, [key.into()])
}

/// Returns a row only if the lease was free.
pub(crate) fn lease(dialect: Dialect, name: &str, now_ms: u64, ttl_ms: u64) -> Result<Statement, Error> {
    match dialect {
        Dialect::Postgres => postgres::statements::lease(name, ttl_ms),
        Dialect::Sqlite => sqlite::statements::lease(name, now_ms, ttl_ms),
    }
}

pub(crate) fn document_get(name: &str) -> Statement {
    Statement::new(DOCUMENT_GET, [name.into()])
}

pub(crate) fn document_put(name: &str, body: String, keep_until: u64) -> Result<Statement, Error> {
    Ok(Statement::new(DOCUMENT_PUT, [name.into(), Value::Text(body), keep_until.try_into()?]))
}

/// Reads the value of a pointer, and its revision.
#[must_use]
pub fn pointer_get(name: &str) -> Statement {
    Statement::new(POINTER_GET, [name.into()])
}

pub(crate) fn pointer_set(name: &str, expected: Option<u64>, value: String) -> Result<Statement, Error> {
    let value = Value::Text(value);
    Ok(match expected {
        None => Statement::new(POINTER_CREATE, [name.into(), value]),
        Some(revision) => Statement::new(POINTER_SWAP, [value, name.into(), revision.try_into()?]),
    })
}

pub(crate) fn generation_get(of: &str) -> Statement {
    Statement::new(GENERATION_GET, [of.into()])
}

pub(crate) fn creation_mark_read(dialect: Dialect) -> Statement {
    let sql = match dialect {
        Dialect::Postgres => postgres::statements::CREATION_MARK_READ,
        Dialect::Sqlite => sqlite::schema::CREATION_MARK_READ,
    };
    Statement::new(sql, [])
}

/// Statements that each delete at most [`SWEEP_ROWS_MAX`] rows of a table that expired before `expired_before`, oldest
/// first.
pub(crate) fn sweeps(dialect: Dialect, expired_before: i64) -> Vec<Statement> {
    match dialect {
        Dialect::Postgres => postgres::statements::sweeps(expired_before, SWEEP_ROWS_MAX).collect(),
        Dialect::Sqlite => sqlite::statements::sweeps(expired_before, SWEEP_ROWS_MAX).collect(),
    }
}
