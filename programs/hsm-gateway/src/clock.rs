//! The gateway's clocks: the wall's, and one that nobody sets beside it (`vouchsafe_gateway::SteadyClock`).
//! `--danger-now` and `--danger-clock` can move the first.

use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use vouchsafe_gateway::{Moment, Reading, SteadyClock};
use vouchsafe_signer::UnixSeconds;

/// Goes on while the machine sleeps, as the wall clock does.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// Long after the machine's start, for a clock that is moved.
const DANGER_RUNNING: Duration = Duration::from_secs(86_400);

/// What takes the place of the machine's clocks.
#[derive(Clone, Debug, Default)]
pub struct Danger {
    /// The wall clock at the start, in Unix seconds.
    pub now: Option<u64>,
    /// A file with the seconds by which the wall clock was set since.
    pub clock: Option<PathBuf>,
}

enum Source {
    Machine,
    Moved {
        start: Duration,
        since: Instant,
        set_by: Option<PathBuf>,
    },
}

pub struct Clock {
    source: Source,
    steady: Mutex<SteadyClock>,
}

impl Clock {
    /// The machine's clocks, or moved ones as of this call.
    pub fn new(danger: Danger) -> Self {
        let source = match danger {
            Danger {
                now: None,
                clock: None,
            } => Source::Machine,
            Danger { now, clock } => Source::Moved {
                start: now.map_or_else(wall, Duration::from_secs),
                since: Instant::now(),
                set_by: clock,
            },
        };
        let steady = Mutex::new(SteadyClock::new(source.read()));
        Self { source, steady }
    }

    pub fn look(&self) -> Moment {
        let reading = self.source.read();
        self.steady().look(reading)
    }

    pub fn now(&self) -> UnixSeconds {
        self.look().now
    }

    /// Somebody has looked: the wall clock is right.
    pub fn believe(&self) {
        let reading = self.source.read();
        self.steady().believe(reading);
    }

    fn steady(&self) -> MutexGuard<'_, SteadyClock> {
        self.steady.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn read(&self) -> Reading {
        match self {
            Self::Machine => {
                let running = clock_gettime(SINCE_BOOT);
                Reading {
                    wall: wall(),
                    running: running.try_into().unwrap_or_default(),
                }
            }
            Self::Moved {
                start,
                since,
                set_by,
            } => {
                let passed = since.elapsed();
                let text = set_by
                    .as_ref()
                    .and_then(|it| std::fs::read_to_string(it).ok());
                let seconds: i64 = text.and_then(|it| it.trim().parse().ok()).unwrap_or(0);
                let wall = start.saturating_add(passed);
                let by = Duration::from_secs(seconds.unsigned_abs());
                Reading {
                    wall: if seconds < 0 {
                        wall.saturating_sub(by)
                    } else {
                        wall.saturating_add(by)
                    },
                    running: DANGER_RUNNING.saturating_add(passed),
                }
            }
        }
    }
}

/// Since 1970.
fn wall() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}
