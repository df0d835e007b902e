//! The gateway's clock and log: whether they can be relied on, and who is told where not.

use super::Gateway;
use super::counted::COUNTS_PAUSE;
use crate::log::{Line, Share};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use vouchsafe_gateway::{Moment, Refusal};

/// How often is looked.
const LOOK_PAUSE: Duration = Duration::from_millis(900);

impl Gateway {
    /// The moment, unless the clock was set: then no seed and no signature leaves, of whichever time.
    pub(super) fn believed(&self) -> Result<Moment, Refusal> {
        let moment = self.clock.look();
        match moment.step_seconds {
            None => Ok(moment),
            Some(_) => Err(Refusal::ClockSet),
        }
    }

    /// Tells of a clock that was set, tries a log that failed, and writes counts, for as long as the process lives.
    pub async fn keep_watch(&self) {
        let mut counts_written = Instant::now();
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            self.tell_step().await;
            self.try_log().await;
            if counts_written.elapsed() >= COUNTS_PAUSE {
                counts_written = Instant::now();
                self.write_counts().await;
            }
        }
    }

    /// Nobody asks a gateway that is not ready: so whether its log can be written again is tried here.
    async fn try_log(&self) {
        if self.log.fails() {
            let line = Line::new("log", self.clock.now().0);
            if self.log.write(Share::Own, line).await.is_ok() {
                self.metrics.log_lines.fetch_add(1, Relaxed);
                eprintln!("hsm-gateway: the log can be written again");
            }
        }
    }

    async fn tell_step(&self) {
        let moment = self.clock.look();
        let told = {
            let mut told = self
                .told_step
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *told, moment.step_seconds)
        };
        if told.is_some() == moment.step_seconds.is_some() {
            return;
        }
        match moment.step_seconds {
            Some(step) => eprintln!(
                "hsm-gateway: the clock was set by {step} s: no seed and no signature leaves. If it is right now, send SIGUSR1 or restart; else mend it"
            ),
            None => eprintln!("hsm-gateway: the clock is believed again"),
        }
        let line = Line::new("clock", moment.now.0).with("set_by_seconds", moment.step_seconds);
        // Told above already, if it can't be written.
        let _ = self.record(Share::Own, line).await;
    }

    /// Believes the clock as it is: an operator says that it is right.
    pub async fn believe_clock(&self) {
        let before = self.clock.look();
        self.clock.believe();
        eprintln!("hsm-gateway: SIGUSR1: the clock is believed as it is");
        let line = Line::new("clock-believed", self.clock.now().0)
            .with("set_by_seconds", before.step_seconds);
        let _ = self.record(Share::Own, line).await;
    }
}
