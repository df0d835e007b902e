//! How far a sink is: a small file that is replaced after everything up to there has arrived.

use super::signals::Seen;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use vouchsafe_cli::{Failure, files};

/// Largest file of a cursor.
const CURSOR_BYTES_MAX: u64 = 1024 * 1024;
/// Most missing numbers that are watched, and for how long, in seconds. Transactions end long before.
const GAPS_MAX: usize = 10_000;
const GAP_SECONDS: u64 = 3600;

/// A position in the records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The record that arrived last, and when and what was decided.
    pub seq: u64,
    pub at_ms: u64,
    pub decision_id: String,
    /// The operation that arrived last.
    pub operation: u64,
    /// Lower numbers that were missing, and since when: with PostgreSQL they may appear late.
    #[serde(default)]
    pub gaps: BTreeMap<u64, u64>,
    /// What webhooks compare records with.
    #[serde(default)]
    pub seen: Seen,
}

impl Cursor {
    /// Reads the cursor in the file; the beginning if there is none.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = files::read_text(path, CURSOR_BYTES_MAX)?;
        serde_json::from_str(&text).map_err(|error| Failure::file(path, format!("not a cursor: {error}")))
    }

    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string(self).map_err(|error| Failure::state(path, error))?;
        files::replace_secret(path, text.as_bytes()).map_err(|error| Failure::state(path, error))
    }

    /// Moves to the record `seq`; numbers between are watched from `now`.
    pub fn pass(&mut self, seq: u64, watches_gaps: bool, now: u64) {
        if self.gaps.remove(&seq).is_some() || seq <= self.seq {
            return;
        }
        if watches_gaps && self.seq > 0 {
            let missing = self.seq.saturating_add(1)..seq;
            let room = GAPS_MAX.saturating_sub(self.gaps.len());
            self.gaps.extend(missing.rev().take(room).map(|gap| (gap, now)));
        }
        self.seq = seq;
    }

    /// Gives up numbers that were missing for long: a transaction that was rolled back took them.
    pub fn forget_gaps(&mut self, now: u64) {
        self.gaps.retain(|_, since| now.saturating_sub(*since) < GAP_SECONDS);
    }
}

/// The folder of cursors. Only one process uses it at a time.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        files::create_private_directory(path).map_err(|error| Failure::file(path, error))?;
        let lock = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(|error| Failure::file(path, error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Failure::refused(format!("another process uses the cursors in `{}`", path.display())))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The file of a sink's cursor, by the digest of its address.
    pub fn cursor_of(&self, sink: &str) -> PathBuf {
        let digest = ring::digest::digest(&ring::digest::SHA256, sink.as_bytes());
        let hex: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.path.join(format!("{hex}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_missing_numbers_until_they_appear() {
        let mut cursor = Cursor::default();
        // Records from before the cursor are of no concern.
        cursor.pass(5, true, 100);
        assert_eq!(cursor.gaps, BTreeMap::new());
        cursor.pass(8, true, 100);
        assert_eq!((cursor.seq, cursor.gaps.keys().copied().collect::<Vec<_>>()), (8, vec![6, 7]));
        cursor.pass(7, true, 200);
        assert_eq!((cursor.seq, cursor.gaps.clone()), (8, BTreeMap::from([(6, 100)])));
        cursor.forget_gaps(100 + GAP_SECONDS - 1);
        assert_eq!(cursor.gaps.len(), 1);
        cursor.forget_gaps(100 + GAP_SECONDS);
        assert_eq!(cursor.gaps.len(), 0);
        cursor.pass(20, false, 300);
        assert_eq!((cursor.seq, cursor.gaps.len()), (20, 0), "SQLite has one writer");
        cursor.pass(20 + 20_000, true, 300);
        assert_eq!(cursor.gaps.len(), GAPS_MAX);
    }

    #[test]
    fn cursor_survives_and_is_exclusive() {
        let path = std::env::temp_dir().join(format!("vouchsafe-cursor-{}", std::process::id()));
        let folder = Folder::open(&path).expect("a folder");
        assert!(Folder::open(&path).is_err());
        let file = folder.cursor_of("file:/a");
        assert_ne!(file, folder.cursor_of("file:/b"));
        assert_eq!(Cursor::read(&file).expect("none"), Cursor::default());
        let cursor = Cursor { seq: 7, decision_id: "d".to_owned(), ..Cursor::default() };
        cursor.write(&file).expect("writes");
        assert_eq!(Cursor::read(&file).expect("reads"), cursor);
        std::fs::write(&file, "{").expect("writes");
        assert!(Cursor::read(&file).is_err());
        std::fs::remove_dir_all(&path).expect("removes");
    }
}
