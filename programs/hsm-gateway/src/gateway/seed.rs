//! Seeds of epochs.

use super::Gateway;
use super::counts::Repeat;
use super::handouts::{Handout, Handouts};
use crate::log::Quota;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};
use vouchsafe_gateway::wire::{self, SeedRequest};
use vouchsafe_gateway::{Caller, Refusal};
use zeroize::Zeroizing;

impl Gateway {
    /// `POST /v1/epoch-seed`; returns the body of the response.
    pub async fn seed(
        self: &Arc<Self>,
        caller: Caller<'_>,
        request: &SeedRequest,
    ) -> Result<Zeroizing<String>, Refusal> {
        let moment = self.trusted_moment()?;
        let now = moment.now;
        // ORDER: before the work that the rate limits.
        self.rates().take_seed(caller, moment.steady)?;
        let group = caller.group(&request.group)?;
        let answer = {
            let keyring = self.keyring();
            let seed = keyring.hand_out(group, request.generation, &request.algorithm, request.epoch_start, now)?;
            wire::seed_answer(seed)
        };
        // ORDER: logged before it is handed out.
        let handout = Handout::new(caller, request);
        self.log_handout(handout, group.epoch_seconds).await?;
        self.metrics.seeds.fetch_add(1, Relaxed);
        Ok(answer)
    }

    /// Logs the first handout, and counts the others.
    async fn log_handout(self: &Arc<Self>, handout: Handout, epoch_seconds: u64) -> Result<(), Refusal> {
        let (mut outcome, first) = self.handouts().enter(&handout, epoch_seconds);
        let is_first = first.is_some();
        if let Some(sender) = first {
            let (gateway, handout) = (Arc::clone(self), handout.clone());
            // INVARIANT: continues even if the caller disconnects. Otherwise a caller that does so each time would have
            // each handout logged.
            tokio::spawn(async move {
                let line = handout.line("seed", gateway.clock.now().0);
                let quota = Quota::Group(handout.group);
                let is_written = gateway.record(quota, line).await.is_ok();
                sender.send_replace(Some(is_written));
            });
        }
        let written = outcome.wait_for(Option::is_some).await;
        if !written.is_ok_and(|it| *it == Some(true)) {
            return Err(Refusal::LogUnavailable);
        }
        if !is_first {
            self.counts().add(Repeat::Seed(handout));
        }
        Ok(())
    }

    pub(super) fn handouts(&self) -> MutexGuard<'_, Handouts> {
        self.handouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
