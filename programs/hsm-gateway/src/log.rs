//! The gateway's own log: each seed that left, each signature, each refusal, one JSON line each, appended.
//!
//! A line is written before what it tells of leaves. It survives the gateway's death, not the machine's:
//! ship it elsewhere. Nothing in it is secret: of what was signed it has the SHA-256.

use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Refusals per second that are written down; the rest is counted only, so that a stolen credential
/// can't fill the disk.
const REFUSALS_PER_SECOND_MAX: u64 = 50;

pub struct Log {
    file: Mutex<File>,
    refusals: Mutex<(u64, u64)>,
}

/// One line, member by member.
pub struct Line(Map<String, Value>);

impl Line {
    pub fn new(event: &str, now: u64) -> Self {
        let mut members = Map::new();
        members.insert("time".into(), now.into());
        members.insert("event".into(), event.into());
        Self(members)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.into(), value.into());
        self
    }
}

impl Log {
    /// Opens `path` for appending, readable by its owner alone.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self {
            file: Mutex::new(file),
            refusals: Mutex::new((0, 0)),
        })
    }

    /// Appends `line`, whole or with an error.
    pub fn write(&self, line: Line) -> std::io::Result<()> {
        let mut text = Value::Object(line.0).to_string();
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
    }

    /// Appends a refusal, unless there were too many in this second.
    pub fn refused(&self, line: Line, now: u64) -> std::io::Result<()> {
        {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let (second, count) = *refusals;
            let count = if second == now { count } else { 0 };
            *refusals = (now, count.saturating_add(1));
            if count >= REFUSALS_PER_SECOND_MAX {
                return Ok(());
            }
        }
        self.write(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_and_bounds_refusals() {
        let path = std::env::temp_dir().join(format!("gateway-log-{}", std::process::id()));
        drop(std::fs::remove_file(&path));
        for start in ["first", "second"] {
            let log = Log::open(&path).expect("opens");
            log.write(Line::new(start, 7)).expect("writes");
            for _ in 0..=REFUSALS_PER_SECOND_MAX {
                log.refused(Line::new("refusal", 8).with("slug", "a\"\n"), 8)
                    .expect("writes");
            }
        }
        let text = std::fs::read_to_string(&path).expect("reads");
        std::fs::remove_file(&path).expect("removes");
        assert_eq!(
            text.lines().count(),
            2 + 2 * usize::try_from(REFUSALS_PER_SECOND_MAX).expect("small")
        );
        for line in text.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
        }
    }
}
