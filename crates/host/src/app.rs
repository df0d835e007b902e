//! Handles one request: limits, then a guest, then the response.
//!
//! Responses of the host itself have the broker's error format, so that clients see only one format.

use crate::concurrency::{ConcurrencyLimit, Overloaded};
use crate::headers;
use crate::lanes::Lanes;
use crate::loader::Loaded;
use crate::metrics::Metrics;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use vouchsafe_serve::linger::{self, Lingering};
use vouchsafe_serve::{json_reply, log};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError};

/// Maximum size of a request body. The broker's own limit is lower and applies first.
const BODY_BYTES_MAX: usize = 128 * 1024;
/// Longest time that a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The running application.
pub struct App {
    pub metrics: Arc<Metrics>,
    loaded: RwLock<Loaded>,
    limit: ConcurrencyLimit,
}

/// Responses of the host itself, without a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    BadRequest,
    BodyTimeout,
    BodyTooLarge,
    GuestFailed,
    MethodUnknown,
    Overloaded,
    TimedOut,
}

impl App {
    pub fn new(loaded: Loaded, metrics: Arc<Metrics>) -> Self {
        metrics.set_bundle(loaded.digest.clone(), loaded.keys.clone());
        Self { metrics, loaded: RwLock::new(loaded), limit: ConcurrencyLimit::new() }
    }

    /// Sends all further requests to `loaded`.
    pub fn replace(&self, loaded: Loaded) {
        self.metrics.set_bundle(loaded.digest.clone(), loaded.keys.clone());
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    /// Digest of the bundle in use.
    pub fn digest(&self) -> Option<String> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).digest.clone()
    }

    /// The instances that take requests now.
    pub fn lanes(&self) -> Arc<Lanes> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).lanes.clone()
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Response<Lingering<WasiBody>> {
        let start = Instant::now();
        let (head, mut body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let response = match self.try_answer(head, &mut body, client).await {
            Ok(response) => response,
            Err(refusal) => self.refuse(refusal),
        };
        let response = linger::respond(response, body);
        self.metrics.record_request(&path, response.status().as_u16(), start.elapsed());
        if self.metrics.draining.load(Relaxed) {
            self.metrics.drained.fetch_add(1, Relaxed);
        }
        response
    }

    async fn try_answer(
        &self,
        mut head: http::request::Parts,
        body: &mut Incoming,
        client: SocketAddr,
    ) -> Result<Response<WasiBody>, Refusal> {
        if head.method == http::Method::CONNECT {
            return Err(Refusal::MethodUnknown);
        }
        headers::prepare(&mut head, client).map_err(|headers::BadRequest| Refusal::BadRequest)?;
        let body = read_body(&head.headers, body).await?;
        self.call(Request::from_parts(head, body)).await
    }

    async fn call(&self, request: Request<Bytes>) -> Result<Response<WasiBody>, Refusal> {
        let permit = self.limit.acquire(request.method()).await;
        let permit = permit.map_err(|Overloaded| Refusal::Overloaded)?;
        let request = request.map(|bytes| Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
        // A task of its own: the guest keeps running when its client disconnects, so the request must keep its permit.
        // Otherwise, clients that disconnect at once could start an unlimited number of instances.
        let lanes = self.lanes();
        let answer = tokio::spawn(async move {
            let answer = lanes.handle(request).await;
            drop(permit);
            answer
        });
        match answer.await {
            Ok(answer) => answer.map_err(|error| self.refusal_of(&error)),
            Err(_) => Err(Refusal::GuestFailed),
        }
    }

    fn refusal_of(&self, error: &wasmtime::Error) -> Refusal {
        if error.is::<ExpirationError>() {
            self.metrics.timeouts.fetch_add(1, Relaxed);
            return Refusal::TimedOut;
        }
        if let Some(error) = error.downcast_ref::<InstantiationError<()>>() {
            log!("serve: cannot create an instance: {:#}", error.error);
            return Refusal::Overloaded;
        }
        Refusal::GuestFailed
    }

    fn refuse(&self, refusal: Refusal) -> Response<WasiBody> {
        if refusal == Refusal::Overloaded {
            self.metrics.overloads.fetch_add(1, Relaxed);
        }
        refusal.response()
    }
}

/// 128 random bits, as in the broker's responses. The host logs no line for these requests, so only the client has it.
fn request_id() -> Option<HeaderValue> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    HeaderValue::try_from(format!("{:032x}", u128::from_be_bytes(bytes))).ok()
}

/// Reads the whole body within its limits, so that a slow client never occupies an instance.
async fn read_body(headers: &http::HeaderMap, body: &mut Incoming) -> Result<Bytes, Refusal> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Refusal::BodyTooLarge);
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::BodyTooLarge),
        Ok(Err(_)) => Err(Refusal::BadRequest),
        Err(_) => Err(Refusal::BodyTimeout),
    }
}

impl Refusal {
    /// Status, RFC 6749 §5.2 `error` and its description.
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "invalid_request", "the request is not well-formed HTTP"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "invalid_request", "the body did not arrive in time"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too large"),
            Self::GuestFailed => {
                (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the request could not be handled")
            }
            Self::MethodUnknown => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "the method is not allowed"),
            Self::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "too many requests at once")
            }
            Self::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "the request took too long"),
        }
    }

    fn response(self) -> Response<WasiBody> {
        let (status, error, description) = self.parts();
        let body = format!("{{\"error\":\"{error}\",\"error_description\":\"{description}\"}}");
        let length = HeaderValue::from(body.len());
        let mut response = json_reply(status, body).map(|body| body.map_err(|never| match never {}).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length);
        if let Some(id) = request_id() {
            headers.insert("x-request-id", id);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self == Self::MethodUnknown {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        response
    }
}
