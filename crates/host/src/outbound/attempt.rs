//! One outbound request from its start to the end of its answer: counted once, and logged if it failed.

use super::failure::{Cause, Failure};
use crate::metrics::Metrics;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;
use vouchsafe_serve::log;
use wasmtime_wasi_http::Error;

/// Maximum number of log lines per minute for one host and cause. Whoever can send requests can make some of them fail.
const LINES_PER_MINUTE_MAX: u32 = 20;
/// Longest URL in a log line.
const URL_CHARS_MAX: usize = 300;

/// Counts log lines of the current minute by host and cause.
#[derive(Default)]
pub struct LogLines(Mutex<BTreeMap<(String, Cause), (u64, u32)>>);

impl LogLines {
    /// Whether another line may be written, and whether it is the last one of this minute.
    fn allow(&self, host: &str, cause: Cause, minute: u64) -> (bool, bool) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = lines.entry((host.to_owned(), cause)).or_default();
        if entry.0 != minute {
            *entry = (minute, 0);
        }
        entry.1 = entry.1.saturating_add(1);
        (entry.1 <= LINES_PER_MINUTE_MAX, entry.1 == LINES_PER_MINUTE_MAX)
    }
}

/// What a drop of the attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The guest waits: whoever drops the attempt now lost patience.
    Waiting,
    /// The guest has everything that arrived.
    Answered,
    Done,
}

/// A request that is being sent, or whose answer is being read.
pub struct Attempt {
    metrics: Arc<Metrics>,
    /// Method and URL without a query.
    request: String,
    host: String,
    start: Instant,
    state: State,
}

impl Attempt {
    /// `host` is the label for metrics.
    pub fn start<B>(metrics: Arc<Metrics>, request: &http::Request<B>, host: String) -> Self {
        let request = format!("{} {}", request.method(), shown(request.uri()));
        Self { metrics, request, host, start: Instant::now(), state: State::Waiting }
    }

    /// The guest waits for the server.
    pub fn set_waiting(&mut self) {
        self.state = State::Waiting;
    }

    /// The guest has what it waited for, and may stop reading at any time.
    pub fn set_answered(&mut self) {
        self.state = State::Answered;
    }

    /// Ends the attempt; returns the error for the guest.
    pub fn fail(&mut self, failure: Failure) -> Error {
        self.state = State::Done;
        self.metrics.record_outbound(&self.host, Some(failure.cause));
        let (allowed, last) = self.metrics.outbound_lines.allow(&self.host, failure.cause, minute());
        if allowed {
            let more = if last { "; more such lines in this minute are omitted" } else { "" };
            log!("serve: {} failed: {}{more}", self.request, failure.text());
        }
        failure.error
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        match self.state {
            // When the process ends, every attempt is dropped with its task.
            State::Waiting if !self.metrics.draining.load(Relaxed) => {
                drop(self.fail(Failure::answer_timeout(self.start.elapsed())));
            }
            State::Answered => self.metrics.record_outbound(&self.host, None),
            State::Waiting | State::Done => {}
        }
    }
}

fn minute() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_secs() / 60
}

/// The URL without user and query, which may hold secrets.
fn shown(uri: &http::Uri) -> String {
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let url = format!("{}://{host}{port}{}", uri.scheme_str().unwrap_or_default(), uri.path());
    url.chars().take(URL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_url_without_user_and_query() {
        for (url, expected) in [
            ("https://a.example:8444/b/c?secret=d", "https://a.example:8444/b/c"),
            ("http://user:password@a.example/", "http://a.example/"),
            ("https://[::1]:1", "https://[::1]:1/"),
        ] {
            assert_eq!(shown(&url.parse().expect(url)), expected);
        }
        let long = format!("http://a.example/{}", "b".repeat(URL_CHARS_MAX));
        assert_eq!(shown(&long.parse().expect("a URL")).len(), URL_CHARS_MAX);
    }

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
