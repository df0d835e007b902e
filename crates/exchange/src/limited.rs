//! Which subjects were denied too often and get no decision until the minute ends, as one instance remembers.
//!
//! The store counts, and tells with the record of a denial that the limit is reached. What this forgets costs a
//! decision, which the store counts like those before.

use crate::limits::{LIMITED_SECONDS_MAX, LIMITED_SUBJECTS_MAX};
use crate::ports::UnixSeconds;
use std::collections::BTreeMap;

/// At most [`LIMITED_SUBJECTS_MAX`] subjects, each until at most [`LIMITED_SECONDS_MAX`] from now.
#[derive(Debug, Default)]
pub struct LimitedSubjects(BTreeMap<String, UnixSeconds>);

impl LimitedSubjects {
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Until when the subject gets no decision.
    #[must_use]
    pub fn until(&self, issuer_name: &str, subject: &str, now: UnixSeconds) -> Option<UnixSeconds> {
        if self.0.is_empty() {
            return None;
        }
        let until = self.0.get(&name(issuer_name, subject)).copied();
        until.filter(|until| holds(*until, now))
    }

    pub fn note(&mut self, issuer_name: &str, subject: &str, until: UnixSeconds, now: UnixSeconds) {
        if !holds(until, now) {
            return;
        }
        if self.0.len() >= LIMITED_SUBJECTS_MAX {
            self.0.retain(|_, until| holds(*until, now));
        }
        if self.0.len() >= LIMITED_SUBJECTS_MAX {
            let first = self.0.iter().min_by_key(|(_, until)| **until);
            let first = first.map(|(subject, _)| subject.clone());
            first.and_then(|subject| self.0.remove(&subject));
        }
        self.0.insert(name(issuer_name, subject), until);
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The `sub` of issued tokens, which no two subjects share: names of issuers have no colon.
fn name(issuer_name: &str, subject: &str) -> String {
    format!("{issuer_name}:{subject}")
}

/// A moment further ahead is of a clock that was set back since.
fn holds(until: UnixSeconds, now: UnixSeconds) -> bool {
    now < until && until <= now.saturating_add(LIMITED_SECONDS_MAX)
}
