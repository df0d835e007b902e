//! Seeds of epochs, and which hand-out of one is a line of the log.

use super::Gateway;
use super::counted::Repeat;
use crate::log::{Line, Share};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};
use tokio::sync::watch;
use vouchsafe_gateway::wire::SeedRequest;
use vouchsafe_gateway::{Caller, Refusal, WINDOW_MARGIN_SECONDS, wire};
use zeroize::Zeroizing;

/// A seed in the hands of one credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handout {
    caller: String,
    group: String,
    algorithm: String,
    generation: u64,
    epoch_start: u64,
}

impl Handout {
    fn new(caller: Caller<'_>, request: &SeedRequest) -> Self {
        Self {
            caller: caller.name().to_owned(),
            group: request.group.clone(),
            algorithm: request.algorithm.clone(),
            generation: request.generation,
            epoch_start: request.epoch_start,
        }
    }

    pub(super) fn line(&self, event: &str, now: u64) -> Line {
        Line::new(event, now)
            .with("caller", self.caller.as_str())
            .with("group", self.group.as_str())
            .with("algorithm", self.algorithm.as_str())
            .with("generation", self.generation)
            .with("epoch_start", self.epoch_start)
    }
}

/// Whether a hand-out is on the disk; none while it is being written.
type Outcome = watch::Receiver<Option<bool>>;

/// Hand-outs of this time. INVARIANT: only seeds that may leave now get here, so there are at most as many as
/// credentials have groups, algorithms and epochs in whose window the clock is.
#[derive(Default)]
pub struct Handouts(BTreeMap<Handout, (Outcome, u64)>);

impl Handouts {
    /// The outcome of the first hand-out; with a sender, if this is the first, or the one before could not be
    /// written. `epoch_seconds` are those of its group.
    fn ask(
        &mut self,
        handout: &Handout,
        epoch_seconds: u64,
    ) -> (Outcome, Option<watch::Sender<Option<bool>>>) {
        if let Some((outcome, _)) = self.0.get(handout) {
            let known = *outcome.borrow();
            // Without a sender, and without a word: its task has died.
            let is_dead = known.is_none() && outcome.has_changed().is_err();
            if known != Some(false) && !is_dead {
                return (outcome.clone(), None);
            }
        }
        let (sender, outcome) = watch::channel(None);
        let entry = (outcome.clone(), epoch_seconds);
        self.0.insert(handout.clone(), entry);
        (outcome, Some(sender))
    }

    /// Forgets seeds that can't leave at `now`.
    pub(super) fn forget(&mut self, now: u64) {
        self.0.retain(|handout, (_, epoch_seconds)| {
            let start = handout.epoch_start.saturating_sub(WINDOW_MARGIN_SECONDS);
            let end = handout
                .epoch_start
                .saturating_add(*epoch_seconds)
                .saturating_add(WINDOW_MARGIN_SECONDS);
            (start..=end).contains(&now)
        });
    }
}

impl Gateway {
    /// `POST /v1/epoch-seed`: the answer's body.
    pub async fn seed(
        self: &Arc<Self>,
        caller: Caller<'_>,
        request: &SeedRequest,
    ) -> Result<Zeroizing<String>, Refusal> {
        let moment = self.believed()?;
        let now = moment.now;
        // ORDER: before the work that the rate bounds.
        self.rates().take_seed(caller, moment.steady)?;
        let group = caller.group(&request.group)?;
        let answer = {
            let keyring = self.keyring();
            let seed = keyring.hand_out(
                group,
                request.generation,
                &request.algorithm,
                request.epoch_start,
                now,
            )?;
            wire::seed_answer(seed)
        };
        // ORDER: on record before it leaves.
        let handout = Handout::new(caller, request);
        self.put_on_record(handout, group.epoch_seconds).await?;
        self.metrics.seeds.fetch_add(1, Relaxed);
        Ok(answer)
    }

    /// Writes the first hand-out down, and counts every other one.
    async fn put_on_record(
        self: &Arc<Self>,
        handout: Handout,
        epoch_seconds: u64,
    ) -> Result<(), Refusal> {
        let (mut outcome, first) = self.handouts().ask(&handout, epoch_seconds);
        let is_first = first.is_some();
        if let Some(sender) = first {
            let (gateway, handout) = (Arc::clone(self), handout.clone());
            // INVARIANT: goes on though its caller has left. Else whoever asks and leaves would have a line each
            // time.
            tokio::spawn(async move {
                let line = handout.line("seed", gateway.clock.now().0);
                let share = Share::Group(handout.group);
                let is_written = gateway.record(share, line).await.is_ok();
                sender.send_replace(Some(is_written));
            });
        }
        let written = outcome.wait_for(Option::is_some).await;
        if !written.is_ok_and(|it| *it == Some(true)) {
            return Err(Refusal::LogUnavailable);
        }
        if !is_first {
            self.counted().add(Repeat::Seed(handout));
        }
        Ok(())
    }

    pub(super) fn handouts(&self) -> MutexGuard<'_, Handouts> {
        self.handouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handout(epoch_start: u64) -> Handout {
        Handout {
            caller: "broker".to_owned(),
            group: "default".to_owned(),
            algorithm: "ES256".to_owned(),
            generation: 1,
            epoch_start,
        }
    }

    #[test]
    fn a_handout_is_first_until_its_line_is_written() {
        let mut handouts = Handouts::default();
        let is_first = |handouts: &mut Handouts| handouts.ask(&handout(3600), 3600).1;
        let died = is_first(&mut handouts).expect("the first");
        assert!(is_first(&mut handouts).is_none(), "it is being written");
        drop(died);
        let failed = is_first(&mut handouts).expect("its task died");
        failed.send_replace(Some(false));
        drop(failed);
        let written = is_first(&mut handouts).expect("it could not be written");
        written.send_replace(Some(true));
        drop(written);
        assert!(is_first(&mut handouts).is_none(), "it is written");
        assert!(handouts.ask(&handout(7200), 3600).1.is_some(), "another");
    }

    #[test]
    fn forgets_a_handout_outside_its_window() {
        let window = 3600 - WINDOW_MARGIN_SECONDS..=7200 + WINDOW_MARGIN_SECONDS;
        for (now, left) in [
            (window.start() - 1, 0),
            (*window.start(), 1),
            (*window.end(), 1),
            (window.end() + 1, 0),
        ] {
            let mut handouts = Handouts::default();
            drop(handouts.ask(&handout(3600), 3600));
            handouts.forget(now);
            assert_eq!(handouts.0.len(), left, "{now}");
        }
    }
}
