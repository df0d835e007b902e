//! What was seen of each version at this gateway: outcomes since the canary began, first and last use.
//!
//! Outcomes live in memory. Uses are kept in `state_dir/uses.json`, some seconds late; the log has each of
//! them.

use super::states::States;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vouchsafe_cli::files;
use vouchsafe_gateway::Figures;

/// How often uses are written down.
const SAVE_PAUSE: Duration = Duration::from_secs(10);

/// A version, by its key's name and its number.
type Version = (String, u64);

#[derive(Default)]
pub struct Tallies {
    figures: BTreeMap<Version, Figures>,
    /// Each key's canary, by its number and when it began.
    canaries: BTreeMap<String, (u64, u64)>,
    /// First and last use, in Unix seconds, by label.
    uses: BTreeMap<String, (u64, u64)>,
    path: PathBuf,
    unsaved: bool,
    saved_at: Option<Instant>,
}

impl Tallies {
    /// With the uses that were written down; what can't be read begins anew.
    pub fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("uses.json");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        Self {
            uses: serde_json::from_str(&text).unwrap_or_default(),
            path,
            ..Self::default()
        }
    }

    /// Begins to count anew for a key whose canary is another one, so that both versions are judged by
    /// the same time.
    pub fn follow(&mut self, states: &States) {
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

    pub fn figures(&self, name: &str, version: u64) -> Figures {
        let figures = self.figures.get(&(name.to_owned(), version));
        figures.copied().unwrap_or_default()
    }

    pub fn count(&mut self, name: &str, version: u64, count: impl FnOnce(&mut Figures)) {
        count(self.figures.entry((name.to_owned(), version)).or_default());
    }

    pub fn used(&mut self, label: &str, now: u64) {
        let (_, last) = self.uses.entry(label.to_owned()).or_insert((now, now));
        *last = now.max(*last);
        self.unsaved = true;
    }

    /// First and last use.
    pub fn uses(&self, label: &str) -> Option<(u64, u64)> {
        self.uses.get(label).copied()
    }

    /// What is to be written down, if there are new uses and that was not done just now. A use that comes
    /// later is new again.
    pub fn take_unsaved(&mut self) -> Option<Save> {
        let lately = self.saved_at.is_some_and(|it| it.elapsed() < SAVE_PAUSE);
        if !self.unsaved || lately {
            return None;
        }
        self.saved_at = Some(Instant::now());
        self.unsaved = false;
        Some(Save {
            path: self.path.clone(),
            uses: self.uses.clone(),
        })
    }

    /// Uses that could not be written down are tried again.
    pub fn not_saved(&mut self) {
        self.unsaved = true;
    }
}

/// Uses, as they go to the disk. INVARIANT: written without the lock on [`Tallies`], for which signatures
/// wait, and by no thread that serves requests: a disk may hang.
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
        let folder = std::env::temp_dir().join(format!("tallies-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut tallies = Tallies::open(&folder);
        assert_eq!(tallies.uses("a"), None);
        for now in [7, 9, 8] {
            tallies.used("a", now);
        }
        let save = tallies.take_unsaved().expect("new uses");
        save.write().expect("saves");
        assert_eq!(Tallies::open(&folder).uses("a"), Some((7, 9)));
        assert!(tallies.take_unsaved().is_none(), "nothing new");
        std::fs::remove_dir_all(&folder).expect("removes");
    }
}
