//! Single use, leases, marks and sweeps on PostgreSQL. Time is the database's clock, because hosts' clocks differ.

use serde_json::json;

use super::json;
use crate::consume_row::ConsumeRow;
use crate::database::{Statement, Value};
use crate::error::Error;
use crate::time::{GAP_SECONDS, SWEEP_MARGIN_SECONDS};

/// Returns a key for each row that used it. An existing row has what is left of the smallest bound that it was ever used
/// under. Inserts nothing if the database may have forgotten uses: it is another incarnation than the mark's, or was not
/// marked as in use for $2 seconds. Nor a key that may have been swept, $3 seconds after it expired.
///
/// Keys are sorted, so that no two statements wait for each other. Scalar subqueries are evaluated once per statement.
const CONSUME: &str = "INSERT INTO consumed (key, keep_until, uses_left) \
    SELECT k.key, k.keep_until, k.uses_left FROM jsonb_to_recordset($1::text::jsonb) \
        AS k(key text, keep_until bigint, uses_left bigint, issued_at bigint) CROSS JOIN mark \
    WHERE k.issued_at >= mark.created_at AND mark.incarnation = (SELECT incarnation()) \
        AND (mark.alive_at IS NULL OR mark.alive_at >= (SELECT clock_ms()) / 1000 - $2) \
        AND k.keep_until >= (SELECT clock_ms()) / 1000 - $3 ORDER BY k.key COLLATE \"C\" \
    ON CONFLICT (key) DO UPDATE SET uses_left = least(consumed.uses_left, excluded.uses_left) - 1, \
        keep_until = greatest(consumed.keep_until, excluded.keep_until) \
    WHERE consumed.uses_left > 0 AND excluded.uses_left > 0 RETURNING key";
/// Returns a row only if the lease was free.
const LEASE: &str = "INSERT INTO leases (name, expires_at_ms) VALUES ($1, clock_ms() + $2) \
    ON CONFLICT (name) DO UPDATE SET expires_at_ms = clock_ms() + $2 \
    WHERE leases.expires_at_ms <= clock_ms() RETURNING 1";
pub(crate) const CREATION_MARK_READ: &str = "SELECT created_at FROM mark";
/// Marks the store as in use. Renews the creation mark if uses may be missing: in a new incarnation, or if the store was
/// out of use for more than $1 seconds. In a new incarnation, tokens of issuers whose clock is up to $2 seconds ahead are
/// refused too. Returns what the mark was before, and whether it was renewed: 0 if not, 1 after a gap, 2 in a new
/// incarnation.
///
/// The row is locked before it is read, so that of several hosts one renews it.
pub(crate) const ALIVE_MARK_WRITE: &str = "WITH old AS MATERIALIZED (SELECT *, incarnation() AS latest, \
        clock_ms() / 1000 AS now FROM mark FOR UPDATE), \
    judged AS MATERIALIZED (SELECT *, CASE WHEN incarnation <> latest THEN 2 WHEN alive_at < now - $1 THEN 1 ELSE 0 END \
        AS renewed FROM old), \
    written AS (UPDATE mark SET incarnation = judged.latest, alive_at = greatest(judged.alive_at, judged.now), \
        created_at = greatest(mark.created_at, CASE judged.renewed WHEN 2 THEN judged.now + $2 WHEN 1 THEN judged.now \
            ELSE mark.created_at END) FROM judged RETURNING 1) \
    SELECT renewed, coalesce(alive_at, created_at) FROM judged";
/// Statements that delete at most $2 rows that expired before $1, and more than $3 seconds ago by the database's clock. Rows
/// that another statement sweeps are left to it.
const SWEEPS: [&str; 5] = [
    "DELETE FROM consumed WHERE key IN (SELECT key FROM consumed \
        WHERE keep_until < least($1, clock_ms() / 1000 - $3) ORDER BY keep_until LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM documents WHERE name IN (SELECT name FROM documents \
        WHERE keep_until < least($1, clock_ms() / 1000 - $3) ORDER BY keep_until LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM leases WHERE name IN (SELECT name FROM leases \
        WHERE expires_at_ms < least($1, clock_ms() / 1000 - $3) * 1000 LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM revocations WHERE seq IN (SELECT seq FROM revocations \
        WHERE keep_until < least($1, clock_ms() / 1000 - $3) ORDER BY keep_until LIMIT $2 FOR UPDATE SKIP LOCKED)",
    "DELETE FROM refusals WHERE (minute, issuer_name, subject, refused) IN \
        (SELECT minute, issuer_name, subject, refused FROM refusals \
        WHERE minute < least($1, clock_ms() / 1000 - $3) / 60 ORDER BY minute LIMIT $2 FOR UPDATE SKIP LOCKED)",
];

/// The statement that consumes all `rows`, whose keys differ.
pub(crate) fn consume(rows: Vec<ConsumeRow>) -> Statement {
    let rows = rows.into_iter().map(|row| {
        json!({
            "key": json::text(row.key),
            "keep_until": row.keep_until,
            "uses_left": row.uses_left,
            "issued_at": row.issued_at,
        })
    });
    let seconds = [GAP_SECONDS, SWEEP_MARGIN_SECONDS].map(|seconds| Value::Integer(seconds.cast_signed()));
    let [gap, margin] = seconds;
    Statement::new(CONSUME, [json::rows(rows), gap, margin])
}

pub(crate) fn sweeps(expired_before: i64, rows_max: i64) -> impl Iterator<Item = Statement> {
    let parameters = [expired_before, rows_max, SWEEP_MARGIN_SECONDS.cast_signed()];
    SWEEPS.into_iter().map(move |sql| Statement::new(sql, parameters.map(Value::Integer)))
}

pub(crate) fn lease(name: &str, ttl_ms: u64) -> Result<Statement, Error> {
    Ok(Statement::new(LEASE, [name.into(), Value::try_from(ttl_ms)?]))
}
