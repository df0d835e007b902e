//! Handouts of seeds: only the first of a seed to a credential is logged, the rest are counted.

use crate::log::Line;
use std::collections::BTreeMap;
use tokio::sync::watch;
use vouchsafe_gateway::wire::SeedRequest;
use vouchsafe_gateway::{Caller, WINDOW_MARGIN_SECONDS};

/// A seed that was handed out to a credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handout {
    caller: String,
    pub(super) group: String,
    algorithm: String,
    generation: u64,
    epoch_start: u64,
}

impl Handout {
    pub(super) fn new(caller: Caller<'_>, request: &SeedRequest) -> Self {
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

/// Whether a handout is logged; `None` while it is being written.
type Outcome = watch::Receiver<Option<bool>>;

/// Current handouts. INVARIANT: only seeds that may be handed out now get here, so credentials, key groups, algorithms
/// and open epochs bound the size.
#[derive(Default)]
pub struct Handouts(BTreeMap<Handout, (Outcome, u64)>);

impl Handouts {
    /// Returns the outcome of the first handout, and its sender if this one must be logged: it is the first, or the one
    /// before could not be logged. `epoch_seconds` is the epoch length of its key group.
    pub(super) fn enter(
        &mut self,
        handout: &Handout,
        epoch_seconds: u64,
    ) -> (Outcome, Option<watch::Sender<Option<bool>>>) {
        if let Some((outcome, _)) = self.0.get(handout) {
            let known = *outcome.borrow();
            // The task ended without an outcome.
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

    /// Forgets seeds that can't be handed out at `now`.
    pub(super) fn forget(&mut self, now: u64) {
        self.0.retain(|handout, (_, epoch_seconds)| {
            let start = handout.epoch_start.saturating_sub(WINDOW_MARGIN_SECONDS);
            let end = handout.epoch_start.saturating_add(*epoch_seconds).saturating_add(WINDOW_MARGIN_SECONDS);
            (start..=end).contains(&now)
        });
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
    fn logs_again_until_a_handout_is_written() {
        let mut handouts = Handouts::default();
        let is_first = |handouts: &mut Handouts| handouts.enter(&handout(3600), 3600).1;
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
        assert!(handouts.enter(&handout(7200), 3600).1.is_some(), "another");
    }

    #[test]
    fn forgets_handouts_outside_their_window() {
        let window = 3600 - WINDOW_MARGIN_SECONDS..=7200 + WINDOW_MARGIN_SECONDS;
        for (now, left) in [(window.start() - 1, 0), (*window.start(), 1), (*window.end(), 1), (window.end() + 1, 0)] {
            let mut handouts = Handouts::default();
            drop(handouts.enter(&handout(3600), 3600));
            handouts.forget(now);
            assert_eq!(handouts.0.len(), left, "{now}");
        }
    }
}
