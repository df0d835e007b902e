//! The newest history of each database that this process has seen.
//!
//! A promotion starts a new timeline. A former primary that was not stopped still accepts writes on the old one, which the
//! new primary never sees: a token could be used twice. So no connection to an older timeline is used.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The highest timeline by system identifier.
#[derive(Default)]
pub struct Timelines(Mutex<BTreeMap<String, u32>>);

impl Timelines {
    /// Whether `timeline` is not older than another one of the same system; remembers it.
    pub fn admit(&self, system: &str, timeline: u32) -> bool {
        let mut timelines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = timelines.entry(system.to_owned()).or_default();
        *highest = timeline.max(*highest);
        timeline == *highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_timeline_before_a_promotion() {
        let timelines = Timelines::default();
        for (system, timeline, expected) in
            [("a", 2, true), ("a", 2, true), ("a", 1, false), ("b", 1, true), ("a", 3, true), ("a", 2, false)]
        {
            assert_eq!(timelines.admit(system, timeline), expected, "{system} {timeline}");
        }
    }
}
