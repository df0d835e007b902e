//! The database of a broker, or a copy of it.

use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use vouchsafe_cli::Failure;

/// The file in a state directory.
const FILE: &str = "sqlite.db";

/// A database that is open for reading.
pub struct Database {
    pub path: PathBuf,
    pub connection: Connection,
}

impl Database {
    /// Opens `path`, which is a state directory or a database, read-only: a running broker may write to it.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Self::open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    pub fn write(path: &Path) -> Result<Self, Failure> {
        Self::open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn open(path: &Path, flags: OpenFlags) -> Result<Self, Failure> {
        let path = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let opened = Connection::open_with_flags(&path, flags);
        let connection = opened.map_err(|error| failed(&path, &error))?;
        let database = Self { path, connection };
        // A log has tables that databases of older brokers lack.
        let has_log = database.column::<i64>("SELECT count(*) FROM sqlite_schema WHERE name = 'log_leaves'")?;
        if has_log == [0] {
            return Err(Failure::file(&database.path, "the database has no log of audit records")
                .hint("a broker of this version makes one when it starts"));
        }
        Ok(database)
    }

    /// The first column of every row.
    pub fn column<T: rusqlite::types::FromSql>(&self, sql: &str) -> Result<Vec<T>, Failure> {
        let rows = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        rows().map_err(|error| self.failed(&error))
    }

    pub fn failed(&self, error: &rusqlite::Error) -> Failure {
        failed(&self.path, error)
    }
}

fn failed(path: &Path, error: &rusqlite::Error) -> Failure {
    Failure::usage(format!("cannot read `{}`: {error}", path.display())).hint("pass the state directory of a broker")
}
