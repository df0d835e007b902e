//! One outbound request from its start to the end of its answer: counted once, and logged if it failed.

use super::failure::Failure;
use super::network::Network;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use vouchsafe_serve::log;
use wasmtime_wasi_http::Error;

/// Longest URL in a log line.
const URL_CHARS_MAX: usize = 300;

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
    network: Arc<Network>,
    /// Method and URL without a query.
    request: String,
    /// Label for metrics.
    host: String,
    start: Instant,
    state: State,
}

impl Attempt {
    pub fn start<B>(network: &Arc<Network>, request: &http::Request<B>) -> Self {
        let host = network.label(request.uri());
        let request = format!("{} {}", request.method(), shown(request.uri()));
        Self { network: Arc::clone(network), request, host, start: Instant::now(), state: State::Waiting }
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
        self.network.metrics.record_outbound(&self.host, Some(failure.cause));
        let (allowed, last) = self.network.lines.allow(&self.host, failure.cause, minute());
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
            State::Waiting if !self.network.metrics.draining.load(Relaxed) => {
                drop(self.fail(Failure::answer_timeout(self.start.elapsed())));
            }
            State::Answered => self.network.metrics.record_outbound(&self.host, None),
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
}
