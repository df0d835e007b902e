//! The guests' wall clock, which `--danger-now` can move.

use std::time::{Duration, Instant, SystemTime};
use wasmtime_wasi::HostWallClock;

/// A wall clock that ticks from a chosen instant; their monotonic clock stays the real one.
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
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        match self.moved {
            Some((start, since)) => start.saturating_add(since.elapsed()),
            None => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}
