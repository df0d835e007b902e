//! How long audit records have been waiting for the log.

use std::time::Instant;

/// Whether records may be waiting.
#[derive(Debug, Clone, Copy)]
pub struct MergeDelay {
    /// When none was waiting last.
    merged_at: Instant,
    is_waiting: bool,
}

impl Default for MergeDelay {
    fn default() -> Self {
        Self { merged_at: Instant::now(), is_waiting: false }
    }
}

impl MergeDelay {
    pub fn none_since(merged_at: Instant) -> Self {
        Self { merged_at, is_waiting: false }
    }

    pub fn note_failure(&mut self) {
        self.is_waiting = true;
    }

    /// The longest time that a record may have been waiting.
    pub fn seconds(&self) -> u64 {
        if self.is_waiting { self.merged_at.elapsed().as_secs() } else { 0 }
    }
}
