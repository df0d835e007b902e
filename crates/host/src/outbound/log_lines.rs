//! How many lines about failed outbound requests are written.

use crate::cause::Cause;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Maximum number of log lines per minute for one host and cause. Whoever can send requests can make some of them fail.
const LINES_PER_MINUTE_MAX: u32 = 20;

/// Counts log lines of the current minute by host and cause.
#[derive(Default)]
pub struct LogLines(Mutex<BTreeMap<(String, Cause), (u64, u32)>>);

impl LogLines {
    /// Whether another line may be written, and whether it is the last one of this minute.
    pub fn allow(&self, host: &str, cause: Cause, minute: u64) -> (bool, bool) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = lines.entry((host.to_owned(), cause)).or_default();
        if entry.0 != minute {
            *entry = (minute, 0);
        }
        entry.1 = entry.1.saturating_add(1);
        (entry.1 <= LINES_PER_MINUTE_MAX, entry.1 == LINES_PER_MINUTE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_lines_by_host_cause_and_minute() {
        let lines = LogLines::default();
        for number in 1..=LINES_PER_MINUTE_MAX + 1 {
            let expected = (number <= LINES_PER_MINUTE_MAX, number == LINES_PER_MINUTE_MAX);
            assert_eq!(lines.allow("a", Cause::Dns, 7), expected, "{number}");
        }
        assert_eq!(lines.allow("a", Cause::Tls, 7), (true, false));
        assert_eq!(lines.allow("b", Cause::Dns, 7), (true, false));
        assert_eq!(lines.allow("a", Cause::Dns, 8), (true, false));
    }
}
