//! The gateway's clocks: the wall clock, and a steady clock that nobody sets (`vouchsafe_gateway::SteadyClock`).
//! `--danger-now` and `--danger-clock` control the first.

use rustix::time::{ClockId, clock_gettime};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vouchsafe_cli::clock::{self, DangerClock, DangerReading};
use vouchsafe_gateway::{Moment, Reading, SteadyClock};
use vouchsafe_signer::UnixSeconds;

/// Continues while the machine sleeps, like the wall clock.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// The time since boot that a danger clock starts with.
const DANGER_RUNNING: Duration = Duration::from_secs(86_400);

enum Source {
    System,
    Danger(DangerClock),
}

pub struct Clock {
    source: Source,
    steady: Mutex<SteadyClock>,
}

impl Clock {
    /// The system's clocks, or `danger` in their place.
    pub fn new(danger: Option<DangerClock>) -> Self {
        let source = danger.map_or(Source::System, Source::Danger);
        let steady = Mutex::new(SteadyClock::new(source.read()));
        Self { source, steady }
    }

    pub fn read(&self) -> Moment {
        let reading = self.source.read();
        self.steady().look(reading)
    }

    pub fn now(&self) -> UnixSeconds {
        self.read().now
    }

    /// Trusts the wall clock as it is.
    pub fn trust(&self) {
        let reading = self.source.read();
        self.steady().trust(reading);
    }

    fn steady(&self) -> MutexGuard<'_, SteadyClock> {
        self.steady.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn read(&self) -> Reading {
        match self {
            Self::System => Reading {
                wall: clock::since_epoch(),
                running: clock_gettime(SINCE_BOOT).try_into().unwrap_or_default(),
            },
            Self::Danger(clock) => {
                let DangerReading { wall, elapsed } = clock.read();
                let running = DANGER_RUNNING.saturating_add(elapsed);
                Reading { wall, running }
            }
        }
    }
}
