//! Single use, leases and sweeps on SQLite.

use std::borrow::Cow;

use crate::consume_row::ConsumeRow;
use crate::database::{Statement, Value};
use crate::error::Error;

/// Returns a key for each row that used it. An existing row has what is left of the smallest bound that it was ever used
/// under. Without a creation mark the comparison is NULL and nothing is inserted. Nothing is inserted either if the store
/// has an alive mark that is not recent, because it may be an older copy that was just restored.
const CONSUME_HEAD: &str =
    "INSERT INTO consumed (key, keep_until, uses_left) SELECT column1, column2, column3 FROM (VALUES ";
const CONSUME_ROW: &str = "(?, ?, ?, ?, ?)";
const CONSUME_TAIL: &str = ") WHERE column4 >= (SELECT value FROM meta WHERE name = 'created_at') \
    AND column5 <= coalesce((SELECT value FROM meta WHERE name = 'alive_at'), column5) \
    ON CONFLICT (key) DO UPDATE SET uses_left = min(consumed.uses_left, excluded.uses_left) - 1, \
        keep_until = max(consumed.keep_until, excluded.keep_until) \
    WHERE consumed.uses_left > 0 AND excluded.uses_left > 0 RETURNING key";
/// Returns a row only if the lease was free. A lease that ends after ?4 was taken by a clock that was ahead.
const LEASE: &str = "INSERT INTO leases (name, expires_at_ms) VALUES (?1, ?3) \
    ON CONFLICT (name) DO UPDATE SET expires_at_ms = excluded.expires_at_ms \
    WHERE expires_at_ms <= ?2 OR expires_at_ms > ?4 RETURNING 1";
/// How far the clock that took a lease may be ahead, in milliseconds, inclusive.
const LEASE_AHEAD_MS_MAX: u64 = 30_000;
/// Statements that delete at most ?2 rows that expired before ?1, oldest first.
const SWEEPS: [&str; 5] = [
    "DELETE FROM consumed WHERE key IN \
        (SELECT key FROM consumed WHERE keep_until < ?1 ORDER BY keep_until LIMIT ?2)",
    "DELETE FROM documents WHERE rowid IN \
        (SELECT rowid FROM documents WHERE keep_until < ?1 ORDER BY keep_until LIMIT ?2)",
    "DELETE FROM leases WHERE name IN \
        (SELECT name FROM leases WHERE expires_at_ms < ?1 * 1000 LIMIT ?2)",
    "DELETE FROM revocations WHERE seq IN \
        (SELECT seq FROM revocations WHERE keep_until < ?1 ORDER BY keep_until LIMIT ?2)",
    "DELETE FROM refusals WHERE (minute, issuer_name, subject, refused) IN \
        (SELECT minute, issuer_name, subject, refused FROM refusals WHERE minute < ?1 / 60 ORDER BY minute LIMIT ?2)",
];

/// The statement that consumes all `rows`.
pub(crate) fn consume(rows: Vec<ConsumeRow>) -> Statement {
    let values = vec![CONSUME_ROW; rows.len()].join(", ");
    let sql = Cow::Owned(format!("{CONSUME_HEAD}{values}{CONSUME_TAIL}"));
    let parameters = rows.into_iter().flat_map(|row| {
        [
            Value::Text(row.key),
            Value::Integer(row.keep_until),
            Value::Integer(row.uses_left),
            Value::Integer(row.issued_at),
            Value::Integer(row.alive_after),
        ]
    });
    Statement { sql, parameters: parameters.collect() }
}

pub(crate) fn lease(name: &str, now_ms: u64, ttl_ms: u64) -> Result<Statement, Error> {
    let expires_at_ms = now_ms.saturating_add(ttl_ms);
    let ends_at_ms_max = expires_at_ms.saturating_add(LEASE_AHEAD_MS_MAX);
    Ok(Statement::new(LEASE, [name.into(), now_ms.try_into()?, expires_at_ms.try_into()?, ends_at_ms_max.try_into()?]))
}

pub(crate) fn sweeps(expired_before: i64, rows_max: i64) -> impl Iterator<Item = Statement> {
    SWEEPS.into_iter().map(move |sql| Statement::new(sql, [expired_before, rows_max].map(Value::Integer)))
}
