//! What the store of a broker remembers, read without starting the broker.

use crate::application::Application;
use crate::continuity;
use crate::error::HostError;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use std::path::{Path, PathBuf};
use vouchsafe_store::pointer_get;

impl Application {
    /// The database of the store; `None` if there is no such file.
    pub fn database(&self) -> Result<Option<PathBuf>, HostError> {
        let root = self.manifest.root().map_err(|error| HostError::configuration(error.to_string()))?;
        let mut paths = self.runtime.database_paths(&root.sqlite_databases, &self.state_dir())?;
        Ok(paths.remove(continuity::LABEL).filter(|path| path.exists()))
    }

    /// The value of the store's pointer `name`; `None` without a database or such a pointer.
    pub fn remembered(&self, name: &str) -> Result<Option<String>, HostError> {
        let Some(path) = self.database()? else {
            return Ok(None);
        };
        pointer(&path, name).map_err(|error| {
            HostError::startup(format!("cannot read the database `{}`: {error}", path.display()))
                .hint("run this command as the user who runs `serve`")
        })
    }
}

fn pointer(path: &Path, name: &str) -> rusqlite::Result<Option<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.query_row(&pointer_get(name).sql, [name], |row| row.get(0)).optional()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pointer_and_creates_nothing() {
        let path = std::env::temp_dir().join(format!("remembered-{}.db", std::process::id()));
        drop(std::fs::remove_file(&path));
        assert!(pointer(&path, "a").is_err());
        assert!(!path.exists());
        let writer = Connection::open(&path).expect("opens");
        let made = writer.execute_batch(
            "CREATE TABLE pointers (name TEXT PRIMARY KEY, value TEXT, revision INTEGER);\
             INSERT INTO pointers VALUES ('a', 'one', 1)",
        );
        made.expect("a table");
        assert_eq!(pointer(&path, "a"), Ok(Some("one".to_owned())));
        assert_eq!(pointer(&path, "b"), Ok(None));
        std::fs::remove_file(&path).expect("removed");
    }
}
