//! The guests' wall clock, which `--danger-now` can set.

use crate::error::HostError;
use std::time::{Duration, Instant, SystemTime};
use wasmtime_wasi::HostWallClock;

/// A moment shortly before this release, which every correct clock has passed: 2026-11-01T00:00:00Z.
const CLOCK_MIN: Duration = Duration::from_secs(1_793_491_200);

/// Refuses a system clock that was never set: with it, tokens that expired long ago would be accepted.
pub fn require_set(now: SystemTime) -> Result<(), HostError> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if now >= CLOCK_MIN {
        return Ok(());
    }
    Err(HostError::startup(format!(
        "the system clock is wrong: Unix time {} is before the release of this program",
        now.as_secs()
    ))
    .hint("set the clock, for example with NTP, and start again"))
}

/// A wall clock that can start at a chosen time. The monotonic clock of guests is always the real one.
#[derive(Clone, Copy)]
pub struct Clock {
    start: Option<(Duration, Instant)>,
}

impl Clock {
    /// The real time, or a clock that starts now at `danger_now` (Unix seconds).
    pub fn new(danger_now: Option<u64>) -> Self {
        Self { start: danger_now.map(|seconds| (Duration::from_secs(seconds), Instant::now())) }
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        match self.start {
            Some((start, since)) => start.saturating_add(since.elapsed()),
            None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_clock_before_the_release() {
        let after = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let refused = |now| require_set(now).map_err(|failure| failure.message);
        assert_eq!(refused(after(1_793_491_200)), Ok(()));
        assert_eq!(
            refused(after(1_793_491_199)),
            Err("the system clock is wrong: Unix time 1793491199 is before the release of this program".to_owned())
        );
        let before_the_epoch = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert!(refused(before_the_epoch).is_err_and(|text| text.contains("Unix time 0")));
    }
}
