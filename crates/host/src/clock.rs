//! The guests' wall clock, which `--danger-now` can move.

use crate::error::HostError;
use std::time::{Duration, Instant, SystemTime};
use wasmtime_wasi::HostWallClock;

/// Every correct clock is past this moment, which is before this release: 2026-11-01T00:00:00Z.
const CLOCK_MIN: Duration = Duration::from_secs(1_793_491_200);

/// Refuses a system clock that was never set. Such a clock would accept tokens that expired long ago.
pub fn require_set(now: SystemTime) -> Result<(), HostError> {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    if now >= CLOCK_MIN {
        return Ok(());
    }
    Err(HostError::startup(format!(
        "the system clock is wrong: it says Unix time {}, and this program was released later",
        now.as_secs()
    ))
    .hint("set the clock, for example with NTP, then start again"))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_from_before_the_release_is_refused() {
        let after = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let refused = |now| require_set(now).map_err(|failure| failure.message);
        assert_eq!(refused(after(1_793_491_200)), Ok(()));
        assert_eq!(
            refused(after(1_793_491_199)),
            Err("the system clock is wrong: it says Unix time 1793491199, and this program was released later".to_owned())
        );
        let before_the_epoch = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(refused(before_the_epoch).is_err_and(|text| text.contains("Unix time 0")));
    }
}
