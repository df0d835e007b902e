//! The gateway's clock, which `--danger-now` can move.

use std::time::{Duration, Instant, SystemTime};
use vouchsafe_signer::UnixSeconds;

/// A wall clock, or one that ticks from a chosen second.
#[derive(Clone, Copy)]
pub struct Clock {
    moved: Option<(Duration, Instant)>,
}

impl Clock {
    /// The real time, or `danger_now` (Unix seconds) as of this call.
    pub fn new(danger_now: Option<u64>) -> Self {
        Self {
            moved: danger_now.map(|seconds| (Duration::from_secs(seconds), Instant::now())),
        }
    }

    pub fn now(self) -> UnixSeconds {
        let since = match self.moved {
            Some((start, since)) => start.saturating_add(since.elapsed()),
            None => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        };
        UnixSeconds(since.as_secs())
    }
}
