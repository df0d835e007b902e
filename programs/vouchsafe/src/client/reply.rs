//! A server's response, and what to say about one that is not what it should be.

use super::text::without_query;
use serde::de::DeserializeOwned;
use std::time::Duration;
use vouchsafe_cli::Failure;

/// A response with any status.
#[derive(Debug, Default)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// The server's name for this request (`x-request-id`).
    pub request_id: Option<String>,
    pub content_type: Option<String>,
    /// Where a redirect leads, without the query.
    pub location: Option<String>,
    /// What the next proof of possession must contain (`dpop-nonce`).
    pub nonce: Option<String>,
    pub body: Vec<u8>,
    /// How often the request was sent.
    pub tries: u32,
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Parses the body as JSON; `None` if it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A failure that names the status, for an answer that is not what it should be.
    pub fn unexpected(&self, url: &str) -> Failure {
        let mut message = format!("{} returned status {}", without_query(url), self.status);
        if let Some(id) = &self.request_id {
            message = format!("{message} (request {id})");
        }
        if self.tries > 1 {
            message = format!("{message} ({} tries)", self.tries);
        }
        Failure::unreachable(message)
    }

    /// A failure for an answer that no broker gives: `invalid response from … (status 403, text/html)`.
    pub fn not_of_broker(&self, message: &str) -> Failure {
        let mut details = vec![format!("status {}", self.status)];
        details.extend(self.content_type.clone());
        details.extend(self.location.as_ref().map(|url| format!("location {url}")));
        details.extend(self.request_id.as_ref().map(|id| format!("request {id}")));
        Failure::unreachable(format!("{message} ({})", details.join(", ")))
            .hint("a proxy or firewall may have answered, not the broker; check --broker")
    }
}
