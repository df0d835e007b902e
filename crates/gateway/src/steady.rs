//! Whether the wall clock may be believed: it was not set since another clock, which nobody sets, began to
//! run beside it. Both clocks' readings are passed in.
//!
//! Which seed may leave is a matter of the time. Who can set the gateway's clock, as whoever answers its
//! NTP can, would else get the seeds of the past and the future. A clock that was set is not believed
//! until it is back, or until somebody says that it is right: which of the two clocks is wrong can't be
//! known here. Meanwhile the time goes on as if nothing had happened, so that no seed is lost by it.

use std::time::Duration;

use vouchsafe_signer::UnixSeconds;

/// Furthest that the wall clock may be from where it has to be.
pub const CLOCK_STEP_SECONDS_MAX: u64 = 30;
/// How long after the machine's start its clock may be set: it is wrong until NTP has answered, and it was
/// believed as it was.
pub const CLOCK_SET_AFTER_BOOT_SECONDS_MAX: u64 = 600;
/// Of so many seconds one may be set without a question, again and again: leap seconds, and small steps of
/// NTP. So nobody gets further than 24 s per day, beside the 30 s.
const FOLLOWS_ONE_SECOND_IN: i128 = 3600;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// What two clocks say at the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Since 1970.
    pub wall: Duration,
    /// Since the machine's start. INVARIANT: never goes back, is never set, and goes on while the machine
    /// sleeps.
    pub running: Duration,
}

impl Reading {
    /// By how much the wall clock is ahead of the other.
    fn lead(self) -> i128 {
        nanos(self.wall).saturating_sub(nanos(self.running))
    }
}

/// Unix seconds of a clock that is never set: the wall clock as of the start, and what has passed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SteadySeconds(pub(crate) u64);

/// One look at the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock's, unless it was set.
    pub now: UnixSeconds,
    pub steady: SteadySeconds,
    /// By how much the wall clock was set, while it is not believed.
    pub step_seconds: Option<i64>,
}

/// The wall clock and its witness.
#[derive(Debug)]
pub struct SteadyClock {
    /// How far the wall clock has to be ahead, in nanoseconds.
    lead: i128,
    lead_at_start: i128,
    looked_at: Duration,
}

impl SteadyClock {
    /// Believes the wall clock as it is.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self {
            lead: reading.lead(),
            lead_at_start: reading.lead(),
            looked_at: reading.running,
        }
    }

    /// Believes the wall clock as it is from now on: somebody has looked.
    pub fn believe(&mut self, reading: Reading) {
        self.lead = reading.lead();
        self.looked_at = reading.running;
    }

    pub fn look(&mut self, reading: Reading) -> Moment {
        if reading.running < Duration::from_secs(CLOCK_SET_AFTER_BOOT_SECONDS_MAX) {
            self.believe(reading);
        }
        let step = reading.lead().saturating_sub(self.lead);
        let passed = reading.running.saturating_sub(self.looked_at);
        self.looked_at = reading.running;
        let bound = nanos(Duration::from_secs(CLOCK_STEP_SECONDS_MAX));
        let is_set = !(bound.saturating_neg()..=bound).contains(&step);
        if !is_set {
            let most = nanos(passed)
                .checked_div(FOLLOWS_ONE_SECOND_IN)
                .unwrap_or(0);
            self.lead = self
                .lead
                .saturating_add(step.clamp(most.saturating_neg(), most));
        }
        let at = |lead: i128| seconds(nanos(reading.running).saturating_add(lead));
        Moment {
            now: UnixSeconds(if is_set {
                at(self.lead)
            } else {
                reading.wall.as_secs()
            }),
            steady: SteadySeconds(at(self.lead_at_start)),
            step_seconds: is_set.then(|| {
                // To the nearest, away from zero.
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

/// Whole seconds since 1970; none before.
fn seconds(nanos: i128) -> u64 {
    let seconds = nanos.checked_div(NANOS_PER_SECOND).unwrap_or(0);
    u64::try_from(seconds).unwrap_or(0)
}

#[cfg(test)]
#[path = "steady_tests.rs"]
mod tests;
