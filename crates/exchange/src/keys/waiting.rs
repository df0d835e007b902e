//! Waiting for another request's fetch.

use super::Keys;
use super::reason::Reason;
use super::shared::Shared;
use crate::failure::Failure;
use crate::limits::{FETCH_POLL_MS, FETCH_WAIT_MS};
use crate::ports::Ports;
use std::rc::Rc;
use vouchsafe_types::KeySet;

impl<P: Ports> Keys<'_, P> {
    /// Waits until an attempt later than those of `before` finishes. Reads the keys' document before the first pause
    /// and after an attempt has finished, not on each poll: many requests polling a large document would overload the
    /// store.
    pub(super) async fn outcome_of_another(&self, before: &Shared, reason: Reason) -> Result<Rc<KeySet>, Failure> {
        let mut waited_ms = 0;
        loop {
            // ORDER: the count before the keys. They are written in reverse order, so no finished attempt is missed.
            let before_wait = self.attempts_ended().await?;
            let shared = self.shared().await?;
            let ended = shared.attempts != before.attempts || self.within_window(shared.last_attempt(reason));
            if ended || waited_ms >= FETCH_WAIT_MS {
                return self.outcome(&shared);
            }
            loop {
                self.ports.pause(FETCH_POLL_MS).await;
                waited_ms = waited_ms.saturating_add(FETCH_POLL_MS);
                if waited_ms >= FETCH_WAIT_MS || self.attempts_ended().await? != before_wait {
                    break;
                }
            }
        }
    }

    /// The number of finished attempts, kept in a small document of its own; 0 if it is missing.
    async fn attempts_ended(&self) -> Result<u64, Failure> {
        let body = self.ports.document(&self.attempts_name()).await?;
        Ok(body.and_then(|body| body.parse().ok()).unwrap_or(0))
    }

    /// Signals waiting requests that an attempt has finished. If the write fails, they wait until their deadline.
    pub(super) async fn count_attempts(&self, attempts: u64, keep_until: u64) {
        let name = self.attempts_name();
        let _best_effort = self.ports.put_document(&name, attempts.to_string(), keep_until).await;
    }

    fn attempts_name(&self) -> String {
        format!("keys-attempts/{}", self.id)
    }
}
