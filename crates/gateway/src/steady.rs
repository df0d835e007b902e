//! Detects changes of the wall clock by comparing it with a clock that nobody can set. Both readings are parameters.
//!
//! The time decides which seeds may leave. Whoever could set the gateway's clock, for example by answering its NTP
//! requests, would get the seeds of the past and the future. A changed clock is therefore not trusted until it is back
//! or an operator confirms it, because the gateway can't know which of the two clocks is wrong. Meanwhile the time
//! continues as if nothing had happened, so that no seed is lost.

use std::time::Duration;

use vouchsafe_signer::UnixSeconds;

/// Largest tolerated step of the wall clock.
pub const CLOCK_STEP_SECONDS_MAX: u64 = 30;
/// How long after boot the clock may be set freely, because it is wrong until NTP has answered.
pub const CLOCK_SET_AFTER_BOOT_SECONDS_MAX: u64 = 600;
/// The clock may drift by one second in this many, for leap seconds and small NTP steps. An attacker thus gains at most
/// 24 s per day, besides the 30 s.
const FOLLOWS_ONE_SECOND_IN: i128 = 3600;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Two clocks at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Since 1970.
    pub wall: Duration,
    /// Since boot. INVARIANT: never goes back, is never set, and continues while the machine is suspended.
    pub running: Duration,
}

impl Reading {
    /// How far the wall clock is ahead of the other.
    fn lead(self) -> i128 {
        nanos(self.wall).saturating_sub(nanos(self.running))
    }
}

/// Unix seconds of a clock that is never set: the wall clock at start-up plus the time since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SteadySeconds(pub(crate) u64);

/// One reading of the steady clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock's time, unless the clock was changed.
    pub now: UnixSeconds,
    pub steady: SteadySeconds,
    /// By how much the wall clock was changed, while it is not trusted.
    pub step_seconds: Option<i64>,
}

/// The wall clock, checked against a clock that nobody sets.
#[derive(Debug)]
pub struct SteadyClock {
    /// How far the wall clock must be ahead, in nanoseconds.
    lead: i128,
    lead_at_start: i128,
    looked_at: Duration,
}

impl SteadyClock {
    /// Trusts the wall clock as it is.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self { lead: reading.lead(), lead_at_start: reading.lead(), looked_at: reading.running }
    }

    /// Trusts the wall clock from now on, because an operator has confirmed it.
    pub fn trust(&mut self, reading: Reading) {
        self.lead = reading.lead();
        self.looked_at = reading.running;
    }

    pub fn look(&mut self, reading: Reading) -> Moment {
        if reading.running < Duration::from_secs(CLOCK_SET_AFTER_BOOT_SECONDS_MAX) {
            self.trust(reading);
        }
        let step = reading.lead().saturating_sub(self.lead);
        let passed = reading.running.saturating_sub(self.looked_at);
        self.looked_at = reading.running;
        let bound = nanos(Duration::from_secs(CLOCK_STEP_SECONDS_MAX));
        let is_set = !(bound.saturating_neg()..=bound).contains(&step);
        if !is_set {
            let most = nanos(passed).checked_div(FOLLOWS_ONE_SECOND_IN).unwrap_or(0);
            self.lead = self.lead.saturating_add(step.clamp(most.saturating_neg(), most));
        }
        let at = |lead: i128| seconds(nanos(reading.running).saturating_add(lead));
        Moment {
            now: UnixSeconds(if is_set { at(self.lead) } else { reading.wall.as_secs() }),
            steady: SteadySeconds(at(self.lead_at_start)),
            step_seconds: is_set.then(|| {
                // Rounded half away from zero.
                let half = step.signum().saturating_mul(NANOS_PER_SECOND / 2);
                let seconds = step.saturating_add(half) / NANOS_PER_SECOND;
                i64::try_from(seconds).unwrap_or(if step < 0 { i64::MIN } else { i64::MAX })
            }),
        }
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

/// Whole seconds since 1970; 0 for earlier times.
fn seconds(nanos: i128) -> u64 {
    let seconds = nanos.checked_div(NANOS_PER_SECOND).unwrap_or(0);
    u64::try_from(seconds).unwrap_or(0)
}

#[cfg(test)]
#[path = "steady_tests.rs"]
mod tests;
