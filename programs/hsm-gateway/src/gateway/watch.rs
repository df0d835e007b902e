//! Supervision of the clock and the log.

use super::Gateway;
use super::counts::COUNTS_PAUSE;
use crate::log::{Line, Quota};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use vouchsafe_gateway::{Moment, Refusal};

/// How often the clock and the log are checked.
const CHECK_PAUSE: Duration = Duration::from_millis(900);

impl Gateway {
    /// The current moment, or a refusal if the clock was set: then no seed and no signature leaves.
    pub(super) fn trusted_moment(&self) -> Result<Moment, Refusal> {
        let moment = self.clock.read();
        match moment.step_seconds {
            None => Ok(moment),
            Some(_) => Err(Refusal::ClockSet),
        }
    }

    /// Reports a clock that was set, retries a log that failed, and logs counts, for as long as the process lives.
    pub async fn watch_clock_and_log(&self) {
        let mut counts_written = Instant::now();
        loop {
            tokio::time::sleep(CHECK_PAUSE).await;
            self.report_clock_step().await;
            self.retry_log().await;
            if counts_written.elapsed() >= COUNTS_PAUSE {
                counts_written = Instant::now();
                self.write_counts().await;
            }
        }
    }

    /// Retries a failed log here, because a gateway that is not ready gets no requests that would.
    async fn retry_log(&self) {
        if self.log.is_failing() {
            let line = Line::new("log", self.clock.now().0);
            if self.log.write(Quota::Gateway, line).await.is_ok() {
                self.metrics.log_lines.fetch_add(1, Relaxed);
                eprintln!("hsm-gateway: the log is writable again");
            }
        }
    }

    async fn report_clock_step(&self) {
        let moment = self.clock.read();
        let before = {
            let mut reported = self.reported_step.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *reported, moment.step_seconds)
        };
        if before.is_some() == moment.step_seconds.is_some() {
            return;
        }
        match moment.step_seconds {
            Some(step) => eprintln!(
                "hsm-gateway: the clock was set by {step} s: no seed and no signature leaves. If it is now correct, send SIGUSR1 or restart; otherwise correct it"
            ),
            None => eprintln!("hsm-gateway: the clock is trusted again"),
        }
        let line = Line::new("clock", moment.now.0).with("set_by_seconds", moment.step_seconds);
        // Reported above, even if it can't be logged.
        let _ = self.record(Quota::Gateway, line).await;
    }

    /// Trusts the clock as it is, because an operator confirmed it.
    pub async fn trust_clock(&self) {
        let before = self.clock.read();
        self.clock.trust();
        eprintln!("hsm-gateway: SIGUSR1: the clock is trusted as it is");
        let line = Line::new("clock-believed", self.clock.now().0).with("set_by_seconds", before.step_seconds);
        let _ = self.record(Quota::Gateway, line).await;
    }
}
