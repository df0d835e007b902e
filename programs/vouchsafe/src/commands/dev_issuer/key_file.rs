//! Keys that outlive the dev issuer's process, so that brokers know them after a restart.

use super::keys::{KeyRing, KeySet};
use anyhow::{Context, Result};
use std::path::PathBuf;
use vouchsafe_cli::files;

/// The file with the keys, if they are kept.
pub struct KeyFile(Option<PathBuf>);

impl KeyFile {
    pub fn new(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// Loads the keys, or generates and saves new ones.
    pub fn load(&self) -> Result<KeyRing> {
        if let Some(path) = self.0.as_deref().filter(|path| path.exists()) {
            let wrong = || format!("{}: not the keys of a dev issuer", path.display());
            let text = serde_json::from_slice(&std::fs::read(path)?).with_context(wrong)?;
            return KeyRing::import(&text).with_context(wrong);
        }
        let ring = KeyRing::new(KeySet::generate()?);
        self.save(&ring)?;
        Ok(ring)
    }

    pub fn save(&self, ring: &KeyRing) -> Result<()> {
        match &self.0 {
            Some(path) => files::replace(path, ring.export().to_string().as_bytes())
                .with_context(|| format!("cannot write {}", path.display())),
            None => Ok(()),
        }
    }
}
