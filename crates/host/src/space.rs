//! Size of the store's files, and the space that is left for them.

use std::ffi::OsString;
use std::path::PathBuf;

/// The files of the store's database.
pub struct StoreFiles {
    database: PathBuf,
    log: PathBuf,
}

impl StoreFiles {
    pub fn of(database: PathBuf) -> Self {
        // SQLite chooses this name.
        let mut log = OsString::from(&database);
        log.push("-wal");
        Self { database, log: log.into() }
    }

    /// Size of the database and its write-ahead log, in bytes.
    pub fn bytes(&self) -> u64 {
        let length = |path: &PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
        length(&self.database).saturating_add(length(&self.log))
    }

    /// Free bytes for this process on the database's file system, or `None` if unknown.
    pub fn free_bytes(&self) -> Option<u64> {
        let system = rustix::fs::statvfs(&self.database).ok()?;
        system.f_bavail.checked_mul(system.f_frsize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_database_and_log() {
        let folder = std::env::temp_dir().join(format!("vouchsafe-space-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        let database = folder.join("a.db");
        let files = StoreFiles::of(database.clone());
        assert_eq!((files.bytes(), files.free_bytes()), (0, None));
        std::fs::write(&database, [0; 100]).expect("written");
        assert_eq!(files.bytes(), 100);
        std::fs::write(folder.join("a.db-wal"), [0; 23]).expect("written");
        assert_eq!(files.bytes(), 123);
        assert!(files.free_bytes().is_some_and(|bytes| bytes > 0));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
