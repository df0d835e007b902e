//! Runs something again whenever a file in a folder changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use vouchsafe_cli::Failure;

/// How often the folder is scanned.
const INTERVAL: Duration = Duration::from_millis(300);

/// The length and modification time of each file.
pub(super) type Marks = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Runs `work` now and after each change below `dir`. Returns only if standard output is closed.
pub fn forever(dir: &Path, mut work: impl FnMut()) -> Result<ExitCode, Failure> {
    loop {
        // Recorded before the run, so that changes during it are noticed.
        let seen = marks(dir);
        work();
        if vouchsafe_cli::print::stdout_failed() {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("watching `{}`; press Ctrl-C to stop", dir.display());
        while marks(dir) == seen {
            std::thread::sleep(INTERVAL);
        }
        println!();
    }
}

/// The marks of every file below `dir`. Unreadable files count as absent.
pub(super) fn marks(dir: &Path) -> Marks {
    let mut marks = Marks::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            // Symbolic links are not followed: a bundle has none.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                marks.insert(entry.path(), (metadata.len(), metadata.modified().ok()));
            }
        }
    }
    marks
}
