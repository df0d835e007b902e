//! The network, within its limits: connect 2 s, whole fetch 5 s, no redirects, capped bodies.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use spin_sdk::http::{EmptyBody, HeaderMap, Response, send};
use spin_sdk::wasip3::http::types::{ErrorCode, RequestOptions};
use spin_sdk::wasip3::http_compat::RequestOptionsExtension;
use vouchsafe_identity::{Answer, Bearer, DocumentSource, FetchError, KeyUrl};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Of all documents of one fetch together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const STATUS_OK: u16 = 200;

/// Outbound HTTP until a deadline.
pub struct Network {
    started: Instant,
}

impl Network {
    pub fn with_deadline() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    fn time_left(&self) -> Duration {
        FETCH_TIMEOUT.saturating_sub(self.started.elapsed())
    }

    /// Drops `work`, which cancels it, when the deadline comes first.
    async fn before_deadline<T>(&self, work: impl Future<Output = T>) -> Result<T, FetchError> {
        let mut work = pin!(work);
        let mut timer = pin!(spin_sdk::time::sleep(self.time_left()));
        std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => timer
                .as_mut()
                .poll(context)
                .map(|()| Err(FetchError::TimedOut)),
        })
        .await
    }

    fn options(&self) -> RequestOptions {
        let options = RequestOptions::new();
        let whole = nanoseconds(self.time_left());
        // A host that has no such timeout says so; the deadline holds without it.
        let _ =
            options.set_connect_timeout(Some(nanoseconds(CONNECT_TIMEOUT.min(self.time_left()))));
        let _ = options.set_first_byte_timeout(Some(whole));
        let _ = options.set_between_bytes_timeout(Some(whole));
        options
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
        self.before_deadline(async {
            let mut request = spin_sdk::http::Request::get(url.as_str())
                .header("accept", "application/json")
                // Caches on the way must ask the issuer: a stale copy would outlive removed keys.
                .header("cache-control", "no-cache");
            if let Some(etag) = known_etag {
                request = request.header("if-none-match", etag);
            }
            if let Some(bearer) = bearer {
                request = request.header("authorization", format!("Bearer {}", bearer.reveal()));
            }
            let mut request = request
                .body(EmptyBody::new())
                .map_err(|_| FetchError::Unreachable)?;
            request
                .extensions_mut()
                .insert(RequestOptionsExtension(self.options()));
            let response = send(request).await.map_err(transport_error)?;
            answer(response, bytes_max).await
        })
        .await?
    }
}

async fn answer(response: Response, bytes_max: usize) -> Result<Answer, FetchError> {
    let (parts, mut body) = response.into_parts();
    let mut answer = Answer {
        status: parts.status.as_u16(),
        cache_control: joined(&parts.headers, "cache-control"),
        etag: parts
            .headers
            .get("etag")
            .and_then(|tag| tag.to_str().ok())
            .map(str::to_owned),
        body: Vec::new(),
    };
    // Only a 200 has a body that anyone reads.
    while answer.status == STATUS_OK {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(transport_error)?;
        let Some(chunk) = frame.data_ref() else {
            continue;
        };
        if answer.body.len().saturating_add(chunk.len()) > bytes_max {
            return Err(FetchError::TooLarge);
        }
        answer.body.extend_from_slice(chunk);
    }
    Ok(answer)
}

/// The host's own timers may fire just before the deadline does.
fn transport_error(code: ErrorCode) -> FetchError {
    match code {
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::DnsTimeout
        | ErrorCode::HttpResponseTimeout => FetchError::TimedOut,
        _ => FetchError::Unreachable,
    }
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
