//! Statistics of each version at this gateway: outcomes since the canary began, first and last use.
//!
//! Outcomes are in memory only. Uses are saved to `state_dir/uses.json` a few seconds late; the log has each of them.

use super::states::States;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vouchsafe_cli::files;
use vouchsafe_gateway::Counters;

/// How often uses are saved.
const SAVE_PAUSE: Duration = Duration::from_secs(10);

/// A version: the key's name, and the number.
type Version = (String, u64);

#[derive(Default)]
pub struct VersionStats {
    figures: BTreeMap<Version, Counters>,
    /// The canary of each key: its number, and since when.
    canaries: BTreeMap<String, (u64, u64)>,
    /// First and last use, in Unix seconds, by label.
    uses: BTreeMap<String, (u64, u64)>,
    path: PathBuf,
    unsaved: bool,
    saved_at: Option<Instant>,
}

impl VersionStats {
    /// Loads saved uses; starts without any if they can't be read.
    pub fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("uses.json");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self { uses: serde_json::from_str(&text).unwrap_or_default(), path, ..Self::default() }
    }

    /// Resets the outcomes of keys with a new canary, so that both versions are judged over the same time.
    pub fn reset_for_new_canaries(&mut self, states: &States) {
        for (name, versions) in states.keys() {
            let canary = versions.canary().and_then(|(version, _)| {
                let since = versions.get(version)?.since;
                Some((version, since))
            });
            let Some(canary) = canary else {
                continue;
            };
            if self.canaries.insert(name.to_owned(), canary) != Some(canary) {
                self.figures.retain(|(of, _), _| of != name);
            }
        }
    }

    pub fn figures(&self, name: &str, version: u64) -> Counters {
        let figures = self.figures.get(&(name.to_owned(), version));
        figures.copied().unwrap_or_default()
    }

    pub fn count(&mut self, name: &str, version: u64, count: impl FnOnce(&mut Counters)) {
        count(self.figures.entry((name.to_owned(), version)).or_default());
    }

    pub fn record_use(&mut self, label: &str, now: u64) {
        let (_, last) = self.uses.entry(label.to_owned()).or_insert((now, now));
        *last = now.max(*last);
        self.unsaved = true;
    }

    /// First and last use.
    pub fn uses(&self, label: &str) -> Option<(u64, u64)> {
        self.uses.get(label).copied()
    }

    /// Takes the uses to save, if there are new ones and the last save is not recent.
    pub fn take_unsaved(&mut self) -> Option<Save> {
        let is_recent = self.saved_at.is_some_and(|it| it.elapsed() < SAVE_PAUSE);
        if !self.unsaved || is_recent {
            return None;
        }
        self.saved_at = Some(Instant::now());
        self.unsaved = false;
        Some(Save { path: self.path.clone(), uses: self.uses.clone() })
    }

    /// Retries uses that could not be saved.
    pub fn mark_unsaved(&mut self) {
        self.unsaved = true;
    }
}

/// Uses to be saved. INVARIANT: written without the lock on [`VersionStats`], for which signatures wait, and not on a
/// thread that serves requests, because a disk may hang.
pub struct Save {
    path: PathBuf,
    uses: BTreeMap<String, (u64, u64)>,
}

impl Save {
    pub fn write(&self) -> std::io::Result<()> {
        files::replace(&self.path, &serde_json::to_vec(&self.uses)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_first_and_last_use() {
        let folder = std::env::temp_dir().join(format!("version-stats-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut stats = VersionStats::open(&folder);
        assert_eq!(stats.uses("a"), None);
        for now in [7, 9, 8] {
            stats.record_use("a", now);
        }
        let save = stats.take_unsaved().expect("new uses");
        save.write().expect("saves");
        assert_eq!(VersionStats::open(&folder).uses("a"), Some((7, 9)));
        assert!(stats.take_unsaved().is_none(), "nothing new");
        std::fs::remove_dir_all(&folder).expect("removes");
    }
}
