//! The statements of single use, leases, documents, pointers and sweeps.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::database::{self, Row, Statement, Value};
use crate::error::{Error, Limit};

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
const IS_SPENT: &str = "SELECT 1 FROM consumed WHERE key = ?1";
/// Returns a row only if the lease was free. A lease that ends after ?4 was taken by a clock that was ahead.
const LEASE: &str = "INSERT INTO leases (name, expires_at_ms) VALUES (?1, ?3) \
    ON CONFLICT (name) DO UPDATE SET expires_at_ms = excluded.expires_at_ms \
    WHERE expires_at_ms <= ?2 OR expires_at_ms > ?4 RETURNING 1";
/// How far the clock that took a lease may be ahead, in milliseconds, inclusive.
pub(crate) const LEASE_AHEAD_MS_MAX: u64 = 30_000;
const DOCUMENT_GET: &str = "SELECT body, keep_until FROM documents WHERE name = ?1";
const DOCUMENT_PUT: &str = "INSERT INTO documents (name, body, keep_until) VALUES (?1, ?2, ?3) \
    ON CONFLICT (name) DO UPDATE SET body = excluded.body, keep_until = excluded.keep_until RETURNING 1";
const POINTER_GET: &str = "SELECT value, revision FROM pointers WHERE name = ?1";
/// Returns a row only if there was no such pointer.
const POINTER_CREATE: &str = "INSERT INTO pointers (name, value, revision) VALUES (?1, ?2, 1) \
    ON CONFLICT (name) DO NOTHING RETURNING revision";
/// Returns a row only if the revision was the expected one.
const POINTER_SWAP: &str = "UPDATE pointers SET value = ?2, revision = revision + 1 \
    WHERE name = ?1 AND revision = ?3 RETURNING revision";

/// Most rows that one sweep deletes: more than the writes between two sweeps add.
pub(crate) const SWEEP_ROWS_MAX: i64 = 256;
/// Statements that delete at most ?2 rows that expired before ?1, oldest first.
pub(crate) const SWEEPS: [&str; 5] = [
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

/// A key to consume.
#[derive(Debug)]
pub(crate) struct ConsumeRow {
    key: String,
    keep_until: Value,
    uses_left: Value,
    issued_at: u64,
    /// The earliest acceptable alive mark.
    alive_after: Value,
}

impl ConsumeRow {
    pub(crate) fn new(
        key: &str,
        uses_max: u32,
        issued_at: u64,
        keep_until: u64,
        alive_after: u64,
    ) -> Result<Self, Error> {
        // SQLite's integers are signed.
        i64::try_from(issued_at).map_err(|_| Error::Invalid(Limit::NumberTooLarge))?;
        Ok(Self {
            key: key.to_owned(),
            keep_until: keep_until.try_into()?,
            uses_left: Value::Integer(i64::from(uses_max).saturating_sub(1)),
            issued_at,
            alive_after: alive_after.try_into()?,
        })
    }

    /// The part that [`fresh`] needs.
    pub(crate) fn claim(&self) -> (String, u64) {
        (self.key.clone(), self.issued_at)
    }
}

/// The statement that consumes all `rows`.
pub(crate) fn consume(rows: Vec<ConsumeRow>) -> Statement {
    let values = vec![CONSUME_ROW; rows.len()].join(", ");
    let sql = Cow::Owned(format!("{CONSUME_HEAD}{values}{CONSUME_TAIL}"));
    let parameters = rows.into_iter().flat_map(|row| {
        [
            Value::Text(row.key),
            row.keep_until,
            row.uses_left,
            Value::Integer(i64::try_from(row.issued_at).unwrap_or(-1)),
            row.alive_after,
        ]
    });
    Statement { sql, parameters: parameters.collect() }
}

/// Which of `claims` (keys with the moments at which their tokens were issued) were used, given what
/// [`consume`] answered.
///
/// INVARIANT: as many rows of a key are used as came back for it, the latest issued ones: those that were
/// issued before the creation mark are not among them (I4).
pub(crate) fn fresh(claims: &[(String, u64)], answer: Vec<Row>) -> Result<Vec<bool>, Error> {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for mut row in answer {
        let count = used.entry(database::text(&mut row, 0)?).or_default();
        *count = count.saturating_add(1);
    }
    let mut latest_first: Vec<(usize, &(String, u64))> = claims.iter().enumerate().collect();
    latest_first.sort_by_key(|(_, (_, issued_at))| std::cmp::Reverse(*issued_at));
    let mut verdicts = vec![false; claims.len()];
    for (at, (key, _)) in latest_first {
        let (Some(count), Some(verdict)) = (used.get_mut(key), verdicts.get_mut(at)) else {
            continue;
        };
        *verdict = *count > 0;
        *count = count.saturating_sub(1);
    }
    Ok(verdicts)
}

pub(crate) fn is_spent(key: &str) -> Statement {
    Statement::new(IS_SPENT, [key.into()])
}

pub(crate) fn lease(name: &str, now_ms: u64, expires_at_ms: u64) -> Result<Statement, Error> {
    let ends_at_ms_max = expires_at_ms.saturating_add(LEASE_AHEAD_MS_MAX);
    Ok(Statement::new(LEASE, [name.into(), now_ms.try_into()?, expires_at_ms.try_into()?, ends_at_ms_max.try_into()?]))
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
        Some(revision) => Statement::new(POINTER_SWAP, [name.into(), value, revision.try_into()?]),
    })
}

pub(crate) fn sweep(sql: &'static str, expired_before: i64) -> Statement {
    Statement::new(sql, [Value::Integer(expired_before), Value::Integer(SWEEP_ROWS_MAX)])
}
