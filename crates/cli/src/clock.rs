//! The system's wall clock, and a clock that `--danger-now` and `--danger-clock` control.

use crate::Failure;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// The system time since 1970-01-01T00:00:00Z; zero if the clock is before that.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The system time in Unix seconds.
pub fn unix_seconds() -> Result<u64, Failure> {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| Failure::refused("the system clock is before 1970"))
}

/// A wall clock for tests: starts at a chosen time, and a file can set it while it runs.
#[derive(Clone, Debug)]
pub struct DangerClock {
    start: Duration,
    since: Instant,
    /// A file with the seconds to add to the time.
    offset_file: Option<PathBuf>,
}

/// What a [`DangerClock`] shows.
#[derive(Clone, Copy, Debug)]
pub struct DangerReading {
    /// The time since 1970-01-01T00:00:00Z.
    pub wall: Duration,
    /// The time since the clock was created, however often it was set.
    pub elapsed: Duration,
}

impl DangerClock {
    /// Starts the clock at `now` in Unix seconds, or at the system time; `None` if neither option is given.
    pub fn new(now: Option<u64>, offset_file: Option<PathBuf>) -> Option<Self> {
        if now.is_none() && offset_file.is_none() {
            return None;
        }
        Some(Self { start: now.map_or_else(since_epoch, Duration::from_secs), since: Instant::now(), offset_file })
    }

    pub fn read(&self) -> DangerReading {
        let elapsed = self.since.elapsed();
        let wall = self.start.saturating_add(elapsed);
        let offset = self.offset_seconds();
        let by = Duration::from_secs(offset.unsigned_abs());
        let wall = if offset < 0 { wall.saturating_sub(by) } else { wall.saturating_add(by) };
        DangerReading { wall, elapsed }
    }

    /// Zero if there is no file, or no number in it.
    fn offset_seconds(&self) -> i64 {
        self.offset_file
            .as_ref()
            .and_then(|path| std::fs::read_to_string(path).ok())
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn danger_clock_follows_its_file() {
        let path = std::env::temp_dir().join(format!("danger-clock-{}", std::process::id()));
        let clock = DangerClock::new(Some(1_800_000_000), Some(path.clone())).expect("a clock");
        let wall = || clock.read().wall.as_secs();
        let near = |seconds: u64| (seconds..seconds + 60).contains(&wall());
        assert!(near(1_800_000_000), "without a file");
        for (text, expected) in [("3600\n", 1_800_003_600), ("-3600", 1_799_996_400), ("soon", 1_800_000_000)] {
            std::fs::write(&path, text).expect("writes");
            assert!(near(expected), "{text}");
        }
        std::fs::remove_file(&path).expect("removes");
        assert!(DangerClock::new(None, None).is_none());
    }
}
