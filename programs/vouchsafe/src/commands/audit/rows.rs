//! Records compared with their leaves.

use super::database::Database;
use super::finding::Finding;
use rusqlite::Row;
use rusqlite::types::Value as Sql;
use vouchsafe_cli::Failure;
use vouchsafe_store::{COMMITTED, Leaf, Value};
use vouchsafe_tlog::{decode, encode};

/// How many records there are of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// They are what the log says.
    pub verified: u64,
    /// From before there was a log.
    pub before: u64,
    /// Not in the log yet.
    pub pending: u64,
    /// Deleted by `vouchsafe audit prune`.
    pub pruned: u64,
}

/// The highest number of a record that was pruned.
pub const PRUNED: &str = "audit_pruned";

/// A record, with what the log says of its decision.
struct Record {
    seq: u64,
    decision_id: String,
    /// The hash of its content; none if it can't be that of any leaf.
    hash: Option<String>,
    /// The hash that was recorded with it.
    own: Option<String>,
    leaf: Option<LogLeaf>,
}

struct LogLeaf {
    log: u64,
    index: u64,
    seq: u64,
    hash: String,
}

/// Compares every record with its leaf.
pub fn check(database: &Database) -> Result<(Counts, Vec<Finding>), Failure> {
    let mut counts = Counts::default();
    let mut findings = Vec::new();
    let number =
        |sql: &str| Ok::<_, Failure>(database.column::<Option<i64>>(sql)?.first().copied().flatten().unwrap_or(0));
    // Records from before the log also have lower numbers than every leaf, whatever the database says.
    let log_from = whole(number("SELECT value FROM meta WHERE name = 'log_from'")?);
    let first = database.column::<Option<i64>>("SELECT min(seq) FROM log_leaves")?.first().copied().flatten();
    let log_from = first.map_or(log_from, |first| log_from.min(whole(first - 1)));
    let last = whole(number("SELECT max(seq) FROM log_leaves")?);
    // A database that no broker of this version opened yet lacks the latest columns, and so do its records.
    let known = database.column::<String>("SELECT name FROM pragma_table_info('audit')")?;
    let column = |name: &&str| match known.iter().any(|it| it == name) {
        true => format!("audit.{name}"),
        false => "NULL".to_owned(),
    };
    let columns: Vec<_> = COMMITTED.iter().map(column).collect();
    let sql = format!(
        "SELECT {}, audit.seq, audit.salt, audit.leaf, log_leaves.log, log_leaves.log_index, log_leaves.seq, \
         log_leaves.hash FROM audit LEFT JOIN log_leaves ON log_leaves.decision_id = audit.decision_id ORDER BY audit.seq",
        columns.join(", ")
    );
    let mut compare = || -> rusqlite::Result<()> {
        let mut statement = database.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let record = record(row)?;
            match judge(database, &record, log_from, last)? {
                Judged::Before => counts.before += 1,
                Judged::Pending => counts.pending += 1,
                Judged::Verified => counts.verified += 1,
                Judged::Wrong(finding) => findings.push(finding),
            }
        }
        Ok(())
    };
    compare().map_err(|error| database.failed(&error))?;
    let pruned = whole(number(&format!("SELECT value FROM meta WHERE name = '{PRUNED}'"))?);
    missing(database, pruned, &mut counts, &mut findings).map_err(|error| database.failed(&error))?;
    Ok((counts, findings))
}

enum Judged {
    Before,
    Pending,
    Verified,
    Wrong(Finding),
}

fn judge(database: &Database, record: &Record, log_from: u64, last: u64) -> rusqlite::Result<Judged> {
    let Record { seq, decision_id, hash, own, leaf } = record;
    let (seq, decision_id) = (*seq, decision_id.clone());
    let Some(leaf) = leaf else {
        return Ok(match (own, hash) {
            (None, _) if seq <= log_from => Judged::Before,
            (None, _) => Judged::Wrong(Finding::Unlogged { seq, decision_id }),
            (Some(own), Some(hash)) if own == hash && seq > last => Judged::Pending,
            (Some(_), _) => Judged::Wrong(Finding::Inserted { seq, decision_id }),
        });
    };
    let is_content = hash.as_ref() == Some(&leaf.hash);
    if is_content && seq == leaf.seq {
        return Ok(Judged::Verified);
    }
    // Whose place a moved record has, or whose leaf came along with another record's content.
    let sql = if is_content { "seq = ?2 AND ?1 IS NOT NULL" } else { "hash = ?1 AND ?2 IS NOT NULL" };
    let sql = format!("SELECT log, log_index FROM log_leaves WHERE {sql} AND decision_id <> ?3 LIMIT 1");
    let mut other = database.connection.prepare_cached(&sql)?;
    let mut other = other.query((own.as_deref().unwrap_or_default(), seq.cast_signed(), &decision_id))?;
    Ok(Judged::Wrong(match other.next()? {
        Some(row) => Finding::Swapped { decision_id, log: whole(row.get(0)?), index: whole(row.get(1)?) },
        None => Finding::Edited { log: leaf.log, index: leaf.index, decision_id },
    }))
}

/// Leaves without a record.
fn missing(database: &Database, pruned: u64, counts: &mut Counts, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    let sql = "SELECT log, log_index, seq, decision_id FROM log_leaves \
        WHERE NOT EXISTS (SELECT 1 FROM audit WHERE audit.decision_id = log_leaves.decision_id) ORDER BY log, log_index";
    let mut statement = database.connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (log, index, seq) = (whole(row.get(0)?), whole(row.get(1)?), whole(row.get(2)?));
        if seq <= pruned {
            counts.pruned += 1;
        } else {
            findings.push(Finding::Deleted { log, index, decision_id: row.get(3)? });
        }
    }
    Ok(())
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let width = COMMITTED.len();
    let values = (0..width).map(|place| row.get::<_, Sql>(place).map(value)).collect::<rusqlite::Result<Vec<_>>>()?;
    let salt: Option<String> = row.get(width + 1)?;
    let salt = salt.as_deref().and_then(decode);
    let hash = salt.and_then(|salt| Leaf::of(&salt, values.iter()).ok()).map(|leaf| encode(&leaf.hash));
    let leaf = match row.get::<_, Option<i64>>(width + 3)? {
        None => None,
        Some(log) => Some(LogLeaf {
            log: whole(log),
            index: whole(row.get(width + 4)?),
            seq: whole(row.get(width + 5)?),
            hash: row.get(width + 6)?,
        }),
    };
    Ok(Record { seq: whole(row.get(width)?), decision_id: row.get(0)?, hash, own: row.get(width + 2)?, leaf })
}

fn value(value: Sql) -> Value {
    match value {
        Sql::Blob(bytes) => Value::Blob(bytes),
        Sql::Integer(number) => Value::Integer(number),
        Sql::Null => Value::Null,
        Sql::Real(number) => Value::Real(number),
        Sql::Text(text) => Value::Text(text),
    }
}

pub fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
