//! Refusals in the log.

use super::Gateway;
use super::counts::{Counts, Requester};
use crate::details::Details;
use crate::log::{Line, Quota};
use std::sync::{MutexGuard, PoisonError};
use vouchsafe_gateway::Refusal;

impl Gateway {
    /// Counts a refusal, and logs it within the limits of [`Counts`].
    pub async fn record_refusal(&self, requester: Requester<'_>, what: &str, refusal: Refusal, details: Details) {
        let slug = refusal.slug();
        self.metrics.count_refusal(slug);
        let moment = self.clock.read();
        if !self.counts().log_or_count(requester, slug, moment.steady) {
            return;
        }
        let now = moment.now.0;
        let line = match requester {
            Requester::Admin(name) | Requester::Caller(name) => Line::new("refusal", now).with("caller", name),
            Requester::Stranger(address) => {
                Line::new("unauthenticated", now).with("peer", address.to_canonical().to_string())
            }
        };
        let line = line.with("what", what).with("slug", slug);
        let line = details.into_iter().fold(line, |line, (name, value)| line.with(name, value));
        if let Err(error) = self.log.write(Quota::Counts, line).await {
            eprintln!("hsm-gateway: cannot write to the log: {error}");
        }
    }

    /// Logs the counts since the last call. What can't be logged stays counted.
    pub async fn write_counts(&self) {
        let now = self.clock.now().0;
        self.handouts().forget(now);
        let counts = self.counts().take();
        let mut counts = counts.into_iter();
        while let Some((repeat, count)) = counts.next() {
            let line = repeat.line(count, now);
            if self.record(Quota::Counts, line).await.is_err() {
                let rest = std::iter::once((repeat, count)).chain(counts);
                self.counts().put_back(rest);
                return;
            }
        }
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
