//! Recorded decisions, from a broker's database or a file exported from one.

use serde_json::Value;
use std::path::{Path, PathBuf};
use vouchsafe_cli::{Failure, clock};

/// The largest exported file that is read.
const EXPORT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The parts of a record that are needed to decide again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub decision_id: String,
    pub decided_at_ms: u64,
    pub outcome: String,
    pub slug: String,
    pub bundle_digest: String,
    pub determining_rules: Vec<String>,
    pub cedar_request: String,
    /// Further refusals that are counted in this record.
    pub repeats: u64,
    /// When the last of them was decided; that of the record itself if there are none.
    pub last_at_ms: u64,
}

/// Finds the record of a decision in `state`.
pub fn find(state: &Path, decision_id: &str) -> Result<Option<Record>, Failure> {
    match source(state)? {
        Source::Database(path) => database::find(&path, decision_id),
        Source::Export(path) => {
            let mut records = read_export(&path)?.into_iter();
            Ok(records.find(|record| record.decision_id == decision_id))
        }
    }
}

/// All decisions in `state` since `since_ms`, oldest first.
pub fn since(state: &Path, since_ms: u64) -> Result<Vec<Record>, Failure> {
    let mut records = match source(state)? {
        Source::Database(path) => database::since(&path, since_ms)?,
        Source::Export(path) => read_export(&path)?,
    };
    records.retain(|record| record.last_at_ms >= since_ms);
    records.sort_by_key(|record| record.decided_at_ms);
    Ok(records)
}

/// The decisions in `state` of the last `duration`, such as `24h`; all without one.
pub fn of_last(state: &Path, duration: Option<&str>) -> Result<Vec<Record>, Failure> {
    let since_ms = match duration {
        None => 0,
        Some(text) => clock::unix_seconds()?.saturating_sub(seconds(text)?).saturating_mul(1000),
    };
    since(state, since_ms)
}

fn seconds(text: &str) -> Result<u64, Failure> {
    let parsed = text.split_at_checked(text.len().saturating_sub(1));
    let seconds = parsed.and_then(|(digits, unit)| {
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(unit)
    });
    seconds.ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a duration")).hint("use a duration such as 30m, 24h or 7d")
    })
}

enum Source {
    Database(PathBuf),
    Export(PathBuf),
}

/// A folder contains `sqlite.db` of `vouchsafe serve` or `sqlite_db.db` of Spin.
fn source(state: &Path) -> Result<Source, Failure> {
    let shown = state.display();
    if state.is_dir() {
        let known = ["sqlite.db", "sqlite_db.db"].map(|name| state.join(name));
        let found = known.into_iter().find(|path| path.is_file());
        return found.map(Source::Database).ok_or_else(|| {
            Failure::usage(format!("no database in `{shown}`"))
                .hint("pass the state directory of `vouchsafe serve`, or Spin's `.spin`")
        });
    }
    let mut head = [0; 16];
    let read = std::fs::File::open(state).and_then(|mut file| {
        use std::io::Read;
        file.read(&mut head)
    });
    read.map_err(|error| Failure::usage(format!("cannot read `{shown}`: {error}")))?;
    Ok(match head.starts_with(b"SQLite format 3") {
        true => Source::Database(state.to_owned()),
        false => Source::Export(state.to_owned()),
    })
}

/// Reads the output of `sqlite3 -json`, or one JSON object per line.
fn read_export(path: &Path) -> Result<Vec<Record>, Failure> {
    let shown = path.display();
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot read `{shown}`: {error}"));
    if std::fs::metadata(path).map_err(cannot)?.len() > EXPORT_BYTES_MAX {
        return Err(Failure::usage(format!("`{shown}` is larger than {EXPORT_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    let wrong = |place: String| {
        Failure::usage(format!("`{shown}`: {place} is not a record of a decision"))
            .hint("export with: sqlite3 -json sqlite.db 'SELECT * FROM audit' >decisions.json")
    };
    if text.trim_start().starts_with('[') {
        let rows: Vec<Value> = serde_json::from_str(&text).map_err(|error| wrong(format!("`{error}`")))?;
        let rows = rows.iter().enumerate();
        return rows.map(|(at, row)| of_row(row).ok_or_else(|| wrong(format!("entry {}", at + 1)))).collect();
    }
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let row = serde_json::from_str(line).ok();
            let record = row.as_ref().and_then(of_row);
            record.ok_or_else(|| wrong(format!("line {}", at + 1)))
        })
        .collect()
}

fn of_row(row: &Value) -> Option<Record> {
    let text = |name: &str| row.get(name)?.as_str().map(str::to_owned);
    // A list is a JSON string in the database, and may be an array in a file.
    let list = |name: &str| -> Option<Vec<String>> {
        let value = row.get(name)?;
        match value.as_str() {
            Some(text) => serde_json::from_str(text).ok(),
            None => serde_json::from_value(value.clone()).ok(),
        }
    };
    let cedar_request = row.get("cedar_request")?;
    let decided_at_ms = row.get("decided_at_ms")?.as_u64()?;
    Some(Record {
        decision_id: text("decision_id")?,
        decided_at_ms,
        outcome: text("outcome")?,
        slug: text("slug")?,
        bundle_digest: text("bundle_digest")?,
        determining_rules: list("determining_rules")?,
        cedar_request: match cedar_request.as_str() {
            Some(text) => text.to_owned(),
            None => cedar_request.to_string(),
        },
        // Older brokers did not count repeats.
        repeats: row.get("repeats").and_then(Value::as_u64).unwrap_or(0),
        last_at_ms: row.get("last_at_ms").and_then(Value::as_u64).unwrap_or(decided_at_ms),
    })
}

#[cfg(feature = "host")]
mod database {
    use super::Record;
    use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
    use std::path::Path;
    use vouchsafe_cli::Failure;

    pub fn find(path: &Path, decision_id: &str) -> Result<Option<Record>, Failure> {
        let sql = "SELECT * FROM audit WHERE decision_id = ?1";
        let connection = open(path)?;
        let found = connection.query_row(sql, [decision_id], record);
        found.optional().map_err(|error| failed(path, &error))
    }

    pub fn since(path: &Path, since_ms: u64) -> Result<Vec<Record>, Failure> {
        let connection = open(path)?;
        // A refusal from before `since_ms` may count later ones. Older brokers did not count.
        let counts = "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'last_at_ms'";
        let counts = connection.prepare(counts).and_then(|mut statement| statement.exists([]));
        let sql = match counts.map_err(|error| failed(path, &error))? {
            true => "SELECT * FROM audit WHERE max(decided_at_ms, coalesce(last_at_ms, 0)) >= ?1 ORDER BY seq",
            false => "SELECT * FROM audit WHERE decided_at_ms >= ?1 ORDER BY seq",
        };
        let since_ms = i64::try_from(since_ms).unwrap_or(i64::MAX);
        let rows = || -> rusqlite::Result<Vec<Record>> {
            let mut statement = connection.prepare(sql)?;
            statement.query_map([since_ms], record)?.collect()
        };
        rows().map_err(|error| failed(path, &error))
    }

    /// Opens the database read-only, because a running broker writes to it.
    fn open(path: &Path) -> Result<Connection, Failure> {
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| failed(path, &error))
    }

    fn failed(path: &Path, error: &rusqlite::Error) -> Failure {
        Failure::usage(format!("cannot read `{}`: {error}", path.display()))
            .hint("pass the state directory of a broker")
    }

    /// A number that databases of older brokers do not have.
    fn counted(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<i64>> {
        match row.get(column) {
            Err(rusqlite::Error::InvalidColumnName(_)) => Ok(None),
            value => value,
        }
    }

    fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
        let rules: String = row.get("determining_rules")?;
        let whole = |value: i64| u64::try_from(value).unwrap_or(0);
        let decided_at_ms = whole(row.get("decided_at_ms")?);
        Ok(Record {
            decision_id: row.get("decision_id")?,
            decided_at_ms,
            outcome: row.get("outcome")?,
            slug: row.get("slug")?,
            bundle_digest: row.get("bundle_digest")?,
            determining_rules: serde_json::from_str(&rules).unwrap_or_default(),
            cedar_request: row.get("cedar_request")?,
            repeats: counted(row, "repeats")?.map_or(0, whole),
            last_at_ms: counted(row, "last_at_ms")?.map_or(decided_at_ms, whole),
        })
    }
}

/// Without SQLite, only exported files can be read.
#[cfg(not(feature = "host"))]
mod database {
    use super::Record;
    use std::path::Path;
    use vouchsafe_cli::Failure;

    fn absent(path: &Path) -> Failure {
        Failure::usage(format!("this program was built without SQLite and cannot read `{}`", path.display()))
            .hint("export with: sqlite3 -json sqlite.db 'SELECT * FROM audit' >decisions.json")
    }

    pub fn find(path: &Path, _decision_id: &str) -> Result<Option<Record>, Failure> {
        Err(absent(path))
    }

    pub fn since(path: &Path, _since_ms: u64) -> Result<Vec<Record>, Failure> {
        Err(absent(path))
    }
}
