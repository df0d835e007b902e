//! Audit records and operations, in the order of their numbers, from SQLite or PostgreSQL.

use crate::commands::audit::database::Database;
use crate::commands::audit::postgres::Postgres;
use crate::commands::audit::record::Record;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use std::path::Path;
use vouchsafe_cli::Failure;

/// Records that are read at once.
pub const BATCH_MAX: u32 = 500;

/// Which records are exported.
#[derive(Clone, Debug)]
pub struct Filter {
    pub since_ms: u64,
    /// Exclusive.
    pub until_ms: u64,
    pub subject: Option<String>,
    pub audience: Option<String>,
    /// Thumbprint of the key of the proof of possession.
    pub jkt: Option<String>,
}

impl Filter {
    pub fn admits(&self, record: &Record) -> bool {
        let at = record.number("decided_at_ms");
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|it| it == record.text(name));
        (self.since_ms..self.until_ms).contains(&at)
            && is(&self.subject, "subject")
            && is(&self.audience, "audience")
            && is(&self.jkt, "jkt")
    }
}

/// A database that is read.
pub enum Records {
    Sqlite(Database),
    Postgres(Postgres),
}

impl Records {
    pub fn open(source: &str) -> Result<Self, Failure> {
        match Postgres::address(source)? {
            Some(address) => Postgres::connect(&address).map(Self::Postgres),
            None => Database::read(Path::new(source)).map(Self::Sqlite),
        }
    }

    /// Up to `max` records with higher numbers than `seq`, by number.
    pub fn after(&mut self, seq: u64, max: u32) -> Result<Vec<Record>, Failure> {
        match self {
            Self::Sqlite(database) => {
                sqlite(database, &format!("SELECT * FROM audit WHERE seq > {seq} ORDER BY seq LIMIT {max}"))
            }
            Self::Postgres(database) => database.rows(&format!(
                "SELECT audit.*, coalesce(repeats.repeats, 0) AS repeats, repeats.last_at_ms, repeats.last_decision_id \
                 FROM (SELECT * FROM audit WHERE seq > {seq} ORDER BY seq LIMIT {max}) AS audit \
                 LEFT JOIN repeats USING (decision_id) ORDER BY seq"
            )),
        }
    }

    /// Visits every record, by number.
    pub fn each(&mut self, mut visit: impl FnMut(&Record)) -> Result<(), Failure> {
        let mut seq = 0;
        loop {
            let batch = self.after(seq, BATCH_MAX)?;
            let Some(last) = batch.last() else { return Ok(()) };
            seq = last.seq;
            batch.iter().for_each(&mut visit);
        }
    }

    /// Visits everything that operators did, by number.
    pub fn each_operation(&mut self, mut visit: impl FnMut(&Record)) -> Result<(), Failure> {
        let mut seq = 0;
        loop {
            let batch = self.operations(seq, BATCH_MAX)?;
            let Some(last) = batch.last() else { return Ok(()) };
            seq = last.seq;
            batch.iter().for_each(&mut visit);
        }
    }

    /// The records with these numbers.
    pub fn numbered(&mut self, numbers: &[u64]) -> Result<Vec<Record>, Failure> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let list: Vec<String> = numbers.iter().map(u64::to_string).collect();
        self.select(&format!("SELECT * FROM audit WHERE seq IN ({}) ORDER BY seq", list.join(",")))
    }

    /// What operators did, after the operation `seq`.
    pub fn operations(&mut self, seq: u64, max: u32) -> Result<Vec<Record>, Failure> {
        self.select(&format!("SELECT * FROM operations WHERE seq > {seq} ORDER BY seq LIMIT {max}"))
    }

    /// The highest number of a record; 0 if there is none.
    pub fn last(&mut self) -> Result<u64, Failure> {
        let rows = self.select("SELECT coalesce(max(seq), 0) AS seq FROM audit")?;
        Ok(rows.first().map_or(0, |row| row.seq))
    }

    /// The highest number of a record from before a moment.
    pub fn last_before(&mut self, ms: u64) -> Result<u64, Failure> {
        let ms = ms.min(i64::MAX.unsigned_abs());
        let rows =
            self.select(&format!("SELECT coalesce(max(seq), 0) AS seq FROM audit WHERE decided_at_ms < {ms}"))?;
        Ok(rows.first().map_or(0, |row| row.seq))
    }

    /// Refusals that count others since a moment: only the number, and what is counted.
    pub fn repeated_since(&mut self, ms: u64) -> Result<Vec<Record>, Failure> {
        let ms = ms.min(i64::MAX.unsigned_abs());
        match self {
            Self::Sqlite(database) => sqlite(
                database,
                &format!(
                    "SELECT seq, slug, issuer_name, audience, repeats FROM audit \
                     WHERE counted_as IS NOT NULL AND repeats > 0 AND last_at_ms >= {ms}"
                ),
            ),
            Self::Postgres(database) => database.rows(&format!(
                "SELECT seq, slug, issuer_name, audience, repeats.repeats FROM repeats JOIN audit USING (decision_id) \
                 WHERE repeats.repeats > 0 AND repeats.last_at_ms >= {ms}"
            )),
        }
    }

    /// Whether the order of numbers may not be that of commits, so that a lower number may appear after a higher one.
    pub fn may_appear_late(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    fn select(&mut self, sql: &str) -> Result<Vec<Record>, Failure> {
        match self {
            Self::Sqlite(database) => sqlite(database, sql),
            Self::Postgres(database) => database.rows(sql),
        }
    }
}

fn sqlite(database: &Database, sql: &str) -> Result<Vec<Record>, Failure> {
    let read = || -> rusqlite::Result<Vec<Record>> {
        let mut statement = database.connection.prepare_cached(sql)?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut columns = Map::new();
            for (place, name) in names.iter().enumerate() {
                columns.insert(name.clone(), value(row.get_ref(place)?));
            }
            let seq = columns.get("seq").and_then(Value::as_u64).unwrap_or(0);
            found.push(Record { seq, columns });
        }
        Ok(found)
    };
    read().map_err(|error| database.failed(&error))
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(_) | ValueRef::Null | ValueRef::Real(_) => Value::Null,
    }
}
