//! `vouchsafe audit prune`.

use super::database::Database;
use super::postgres::Postgres;
use super::rows::PRUNED;
use crate::client::moment::{self, Moment};
use std::path::Path;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock};

/// Delete old audit records. Their leaves stay, so that the rest remains provable.
///
/// Deletes records that are in the log, or from before there was one, and never the latest. The log keeps how far
/// records were pruned. Export them before: see `vouchsafe audit export`. A running broker may use the database meanwhile.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 deleted or nothing to delete, 2 the database cannot be changed or the command line is wrong.

Examples:
  vouchsafe audit prune /var/lib/vouchsafe --before 400d
  vouchsafe audit prune /var/lib/vouchsafe --before 2027-01-01T00:00:00Z")]
pub struct Args {
    /// A state directory, a database, or the address of a PostgreSQL database, or @FILE with it.
    #[arg(value_name = "DB")]
    database: String,
    /// Delete records of decisions before this moment: a time, or a duration before now.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    before: Moment,
}

/// Records that one statement deletes, so that a broker never waits for long.
const ROWS_PER_STATEMENT: u32 = 500;
/// The age from which no record counts refusals any more, in seconds.
const AGE_SECONDS_MIN: u64 = 24 * 3600;
/// How long a statement waits for a running broker, in milliseconds.
const BUSY_MS: u32 = 5000;

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let now = clock::unix_seconds()?;
    let before = args.before.seconds(now);
    if before > now.saturating_sub(AGE_SECONDS_MIN) {
        return Err(Failure::usage("--before must be at least a day ago: newer records count repeated refusals"));
    }
    let before_ms = before.saturating_mul(1000);
    let deleted = match Postgres::address(&args.database)? {
        Some(address) => prune_postgres(&mut Postgres::connect(&address)?, before_ms)?,
        None => {
            let database = Database::write(Path::new(&args.database))?;
            prune(&database, before_ms).map_err(|error| database.failed(&error))?
        }
    };
    println!("{deleted} records deleted");
    Ok(ExitCode::SUCCESS)
}

fn prune(database: &Database, before_ms: u64) -> rusqlite::Result<usize> {
    let connection = &database.connection;
    connection.execute_batch(&format!("PRAGMA busy_timeout = {BUSY_MS}"))?;
    // Records are in the order of their numbers; pruning stops at the first that must stay.
    let last = "SELECT min(seq) FROM audit WHERE decided_at_ms >= ?1 OR seq = (SELECT max(seq) FROM audit) \
        OR leaf IS NOT NULL AND NOT EXISTS (SELECT 1 FROM log_leaves WHERE log_leaves.decision_id = audit.decision_id)";
    let before_ms = i64::try_from(before_ms).unwrap_or(i64::MAX);
    let stop: Option<i64> = connection.query_row(last, [before_ms], |row| row.get(0))?;
    let Some(stop) = stop else { return Ok(0) };
    // ORDER: first the mark, so that no record is missing without one after a crash.
    connection.execute(
        &format!(
            "INSERT INTO meta (name, value) SELECT '{PRUNED}', ?1 WHERE EXISTS (SELECT 1 FROM audit WHERE seq <= ?1) \
             ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)"
        ),
        [stop - 1],
    )?;
    let mut deleted = 0;
    loop {
        let sql = "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq < ?1 ORDER BY seq LIMIT ?2)";
        match connection.execute(sql, (stop, ROWS_PER_STATEMENT))? {
            0 => return Ok(deleted),
            rows => deleted += rows,
        }
    }
}

/// As [`prune`]. Leaves are numbered after their records were committed, so the order of leaves is not that of decisions:
/// pruning stops at the first leaf whose record must stay.
fn prune_postgres(database: &mut Postgres, before_ms: u64) -> Result<usize, Failure> {
    let before_ms = before_ms.min(i64::MAX.unsigned_abs());
    let number = |rows: Vec<String>| rows.first().and_then(|text| text.parse::<i64>().ok());
    let stop = database.query(&format!(
        "SELECT coalesce((SELECT min(leaf.seq) FROM log_leaves AS leaf JOIN audit USING (decision_id) \
         WHERE audit.decided_at_ms >= {before_ms}), (SELECT max(seq) FROM log_leaves), 0)"
    ))?;
    let stop = number(stop).unwrap_or(0);
    let old = format!(
        "decided_at_ms < {before_ms} AND (leaf IS NULL OR EXISTS \
         (SELECT 1 FROM log_leaves WHERE log_leaves.decision_id = audit.decision_id AND log_leaves.seq < {stop}))"
    );
    // ORDER: first the mark, so that no record is missing without one after a crash.
    database.query(&format!(
        "INSERT INTO meta (name, value) SELECT '{PRUNED}', {stop} - 1 \
         WHERE EXISTS (SELECT 1 FROM audit WHERE leaf IS NOT NULL AND {old}) \
         ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value, excluded.value)"
    ))?;
    let mut deleted = 0;
    loop {
        let rows = database.query(&format!(
            "WITH gone AS (DELETE FROM audit WHERE (decision_id, decided_at_ms) IN \
             (SELECT decision_id, decided_at_ms FROM audit WHERE {old} LIMIT {ROWS_PER_STATEMENT}) RETURNING decision_id), \
             counters AS (DELETE FROM repeats WHERE decision_id IN (SELECT decision_id FROM gone)) \
             SELECT count(*) FROM gone"
        ))?;
        match number(rows).unwrap_or(0) {
            0 => return Ok(deleted),
            rows => deleted += usize::try_from(rows).unwrap_or(0),
        }
    }
}
