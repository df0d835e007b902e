//! The statements of the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use vouchsafe_tlog::{HASH_BYTES, Hash, TileId};

use crate::database::{Dialect, Statement, Value};
use crate::error::Error;
use crate::leaf::COMMITTED;

/// The columns of a leaf: its log, its index there, the number of its record, its decision and its hash.
pub(crate) const SIZE: &str = "SELECT coalesce(max(log_index) + 1, 0) FROM log_leaves WHERE log = $1";
pub(crate) const PREVIOUS: &str =
    "SELECT log FROM log_leaves WHERE log <> $1 ORDER BY log DESC, log_index DESC LIMIT 1";
pub(crate) const LEAVES: &str =
    "SELECT hash FROM log_leaves WHERE log = $1 AND log_index >= $2 AND log_index < $3 ORDER BY log_index";
pub(crate) const LEAF_OF: &str = "SELECT log, log_index FROM log_leaves WHERE decision_id = $1";
pub(crate) const HAS_LEAF: &str = "SELECT 1 FROM audit WHERE decision_id = $1 AND leaf IS NOT NULL";
pub(crate) const TILE_GET: &str = "SELECT hashes FROM log_tiles WHERE log = $1 AND level = $2 AND tile_index = $3";
/// A tile only grows.
const TILE_PUT: &str = "INSERT INTO log_tiles (log, level, tile_index, hashes) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (log, level, tile_index) DO UPDATE SET hashes = excluded.hashes \
    WHERE length(excluded.hashes) > length(log_tiles.hashes) RETURNING 1";

/// The number of the last record that has a leaf. `seq` is the order of commits, because SQLite has one writer. Records from
/// before there was a log have lower numbers than `log_from`.
const LAST: &str = "coalesce((SELECT seq FROM log_leaves ORDER BY log DESC, log_index DESC LIMIT 1), \
    (SELECT value FROM meta WHERE name = 'log_from'))";
/// Nothing is numbered if the store has an alive mark that is not recent, because it may be an older copy that was just
/// restored.
const NUMBER_SQLITE: &str = "INSERT INTO log_leaves (log, log_index, seq, decision_id, hash) \
    SELECT mark.value, coalesce((SELECT max(log_index) FROM log_leaves WHERE log = mark.value), -1) \
        + row_number() OVER (ORDER BY news.seq), news.seq, news.decision_id, news.leaf \
    FROM meta AS mark CROSS JOIN (SELECT seq, decision_id, leaf FROM audit \
        WHERE leaf IS NOT NULL AND seq > {LAST} ORDER BY seq LIMIT $1) AS news \
    WHERE mark.name = 'created_at' AND $2 <= coalesce((SELECT value FROM meta WHERE name = 'alive_at'), $2) \
    RETURNING 1";
const NEWS_SQLITE: &str = "SELECT 1 FROM audit WHERE leaf IS NOT NULL AND seq > {LAST} LIMIT 1";
const REMOVE_SQLITE: &str = "DELETE FROM log_leaves WHERE log = $1 AND log_index >= $2 RETURNING 1";

/// The order of commits is not that of any sequence, so records wait in a table. A second statement at the same time waits
/// for the rows that this one takes, or fails because its leaves have the same indexes: it never makes a gap.
const NUMBER_POSTGRES: &str = "WITH mark_now AS MATERIALIZED (SELECT created_at AS log FROM mark \
        WHERE incarnation = (SELECT incarnation()) \
        AND (alive_at IS NULL OR alive_at >= (SELECT clock_ms()) / 1000 - $1)), \
    taken AS (DELETE FROM log_pending WHERE seq IN (SELECT seq FROM log_pending \
        WHERE EXISTS (SELECT 1 FROM mark_now) ORDER BY seq LIMIT $2 FOR UPDATE) RETURNING seq, decision_id, hash) \
    INSERT INTO log_leaves (log, log_index, seq, decision_id, hash) \
    SELECT mark_now.log, coalesce((SELECT max(log_index) FROM log_leaves WHERE log = mark_now.log), -1) \
        + row_number() OVER (ORDER BY taken.seq), taken.seq, taken.decision_id, taken.hash \
    FROM mark_now CROSS JOIN taken RETURNING 1";
const NEWS_POSTGRES: &str = "SELECT 1 FROM log_pending LIMIT 1";
const REMOVE_POSTGRES: &str = "WITH removed AS (DELETE FROM log_leaves WHERE log = $1 AND log_index >= $2 \
        RETURNING log_index, decision_id, hash) \
    INSERT INTO log_pending (decision_id, hash) SELECT decision_id, hash FROM removed ORDER BY log_index RETURNING 1";

/// Selects a row if there is a record without a leaf.
pub(crate) fn news(dialect: Dialect) -> Statement {
    match dialect {
        Dialect::Postgres => Statement::new(NEWS_POSTGRES, []),
        Dialect::Sqlite => Statement { sql: Cow::Owned(NEWS_SQLITE.replace("{LAST}", LAST)), parameters: vec![] },
    }
}

/// Gives the next records indexes in the current log, at most `leaves_max` of them.
pub(crate) fn number(dialect: Dialect, alive_after: u64, leaves_max: u64) -> Result<Statement, Error> {
    let leaves_max = leaves_max.try_into()?;
    Ok(match dialect {
        Dialect::Postgres => Statement::new(NUMBER_POSTGRES, [crate::time::GAP_SECONDS.try_into()?, leaves_max]),
        Dialect::Sqlite => Statement {
            sql: Cow::Owned(NUMBER_SQLITE.replace("{LAST}", LAST)),
            parameters: vec![leaves_max, alive_after.try_into()?],
        },
    })
}

/// Takes the leaves from index `size` on out of `log`, so that the next statement numbers their records anew.
pub(crate) fn remove_unpublished(dialect: Dialect, log: u64, size: u64) -> Result<Statement, Error> {
    let sql = match dialect {
        Dialect::Postgres => REMOVE_POSTGRES,
        Dialect::Sqlite => REMOVE_SQLITE,
    };
    Ok(Statement::new(sql, [log.try_into()?, size.try_into()?]))
}

pub(crate) fn tile_put(log: u64, id: TileId, hashes: &[Hash]) -> Result<Statement, Error> {
    let place = [log.try_into()?, Value::Integer(id.level.into()), id.index.try_into()?];
    let [log, level, index] = place;
    Ok(Statement::new(TILE_PUT, [log, level, index, Value::Text(STANDARD.encode(hashes.concat()))]))
}

/// The committed columns and the salt of a decision.
pub(crate) fn record(decision_id: &str) -> Statement {
    let columns = COMMITTED.join(", ");
    let sql = format!("SELECT {columns}, salt FROM audit WHERE decision_id = $1 AND leaf IS NOT NULL");
    Statement { sql: Cow::Owned(sql), parameters: vec![decision_id.into()] }
}

/// The hashes of a stored tile.
#[must_use]
pub fn hashes(text: &str) -> Option<Vec<Hash>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    rest.is_empty().then(|| hashes.to_vec())
}
