//! Running something again whenever a file of a folder changes.

use crate::commands::Failure;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// How often the folder is looked at.
const INTERVAL: Duration = Duration::from_millis(300);

/// What tells whether a file changed.
pub(super) type Marks = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Runs `work` now and after each change below `dir`; ends with the process, or when nobody reads what it prints.
pub fn forever(dir: &Path, mut work: impl FnMut()) -> Result<ExitCode, Failure> {
    loop {
        // Marked before the run, so that what changes during it is seen after it.
        let seen = marks(dir);
        work();
        if vouchsafe_cli::print::stdout_failed() {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("watching `{}`; Ctrl-C ends", dir.display());
        while marks(dir) == seen {
            std::thread::sleep(INTERVAL);
        }
        println!();
    }
}

/// Length and time of change of every file below `dir`; what can't be read counts as absent.
pub(super) fn marks(dir: &Path) -> Marks {
    let mut marks = Marks::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            // Not followed where it is a link: a bundle has none.
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
