//! Outbound HTTP within limits: connect 2 s, whole fetch 5 s, no redirects, bounded bodies.

use std::time::{Duration, Instant};

use vouchsafe_guest::http::{HeaderMap, Limits, SendError, send};
use vouchsafe_identity::{Answer, Bearer, DocumentSource, FetchError, KeyUrl};
use vouchsafe_types::{Unreachable, UnreachableCause};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For all documents of one fetch together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Outbound HTTP until a deadline.
pub struct Network {
    started: Instant,
}

impl Network {
    pub fn with_deadline() -> Self {
        Self { started: Instant::now() }
    }
}

impl DocumentSource for Network {
    async fn get(
        &self,
        url: &KeyUrl,
        known_etag: Option<&str>,
        bearer: Option<&Bearer>,
        bytes_max: usize,
    ) -> Result<Answer, FetchError> {
        // Intermediate caches must revalidate: a stale copy would outlive removed keys.
        let mut headers = vec![("accept", "application/json"), ("cache-control", "no-cache")];
        headers.extend(known_etag.map(|etag| ("if-none-match", etag)));
        let authorization = bearer.map(|bearer| format!("Bearer {}", bearer.reveal()));
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        let limits = Limits {
            connect: CONNECT_TIMEOUT,
            total: FETCH_TIMEOUT.saturating_sub(self.started.elapsed()),
            body_bytes_max: bytes_max,
            reads_error_body: false,
        };
        let answer = send(url.as_str(), &headers, None, limits).await;
        let unreachable = |cause| FetchError::Unreachable(Unreachable { origin: url.origin().to_owned(), cause });
        let answer = answer.map_err(|error| match error {
            SendError::Failed(cause) => unreachable(cause),
            SendError::Interrupted => unreachable(UnreachableCause::ConnectionClosed),
            SendError::InvalidRequest => unreachable(UnreachableCause::ConnectionFailed),
            SendError::TimedOut => FetchError::TimedOut,
            SendError::TooLarge => FetchError::TooLarge,
        })?;
        let etag = answer.headers.get("etag").and_then(|tag| tag.to_str().ok());
        Ok(Answer {
            status: answer.status,
            cache_control: joined(&answer.headers, "cache-control"),
            etag: etag.map(str::to_owned),
            body: answer.body,
        })
    }
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}
