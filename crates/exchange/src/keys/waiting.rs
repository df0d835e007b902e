//! How a request waits for the fetch of another one.

use super::shared::Shared;
use super::Keys;
use super::reason::Reason;
use crate::failure::Failure;
use crate::limits::{FETCH_POLL_MS, FETCH_WAIT_MS};
use crate::ports::Ports;
use std::rc::Rc;
use vouchsafe_types::KeySet;

impl<P: Ports> Keys<'_, P> {
    /// Waits until an attempt after those of `before` ends. The keys' document is read before the first pause and
    /// after an attempt has ended, not at each look: many who wait for a large one would keep the store busy.
    pub(super) async fn outcome_of_another(
        &self,
        before: &Shared,
        reason: Reason,
    ) -> Result<Rc<KeySet>, Failure> {
        let mut waited_ms = 0;
        loop {
            // ORDER: the count before the keys. They are written the other way round, so the end of no attempt is missed.
            let seen = self.attempts_ended().await?;
            let shared = self.shared().await?;
            let ended = shared.attempts != before.attempts
                || self.within_window(shared.last_attempt(reason));
            if ended || waited_ms >= FETCH_WAIT_MS {
                return self.outcome(&shared);
            }
            loop {
                self.ports.pause(FETCH_POLL_MS).await;
                waited_ms = waited_ms.saturating_add(FETCH_POLL_MS);
                if waited_ms >= FETCH_WAIT_MS || self.attempts_ended().await? != seen {
                    break;
                }
            }
        }
    }

    /// How many attempts ended, by a small document of its own; 0 where there is none.
    async fn attempts_ended(&self) -> Result<u64, Failure> {
        let body = self.ports.document(&self.attempts_name()).await?;
        Ok(body.and_then(|body| body.parse().ok()).unwrap_or(0))
    }

    /// Lets those who wait see that an attempt has ended. Where it can't be written they wait as long as they may.
    pub(super) async fn count_attempts(&self, attempts: u64, keep_until: u64) {
        let name = self.attempts_name();
        let _waited_for = self
            .ports
            .put_document(&name, attempts.to_string(), keep_until)
            .await;
    }

    fn attempts_name(&self) -> String {
        format!("keys-attempts/{}", self.id)
    }
}
