//! Outbound HTTP within limits: no redirects, one deadline, bounded bodies.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
pub use spin_sdk::http::HeaderMap;
use spin_sdk::http::{Request, StatusCode, send as send_request};
use spin_sdk::wasip3::http::types::{ErrorCode, RequestOptions};
use spin_sdk::wasip3::http_compat::RequestOptionsExtension;
use std::time::Duration;
use vouchsafe_types::UnreachableCause;

/// Longest text of the host that is kept.
const OTHER_CHARS_MAX: usize = 160;

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connect: Duration,
    /// For the whole request, including connecting.
    pub total: Duration,
    pub body_bytes_max: usize,
    /// Whether the body of a response other than 200 is read.
    pub reads_error_body: bool,
}

/// A response with its body, which is empty if it was not read.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug)]
pub enum SendError {
    /// The host's reason.
    Failed(UnreachableCause),
    /// The connection failed while the body was read.
    Interrupted,
    InvalidRequest,
    TimedOut,
    TooLarge,
}

/// Sends a GET with `headers`, or a POST with `body`.
///
/// # Errors
/// The request failed, timed out, or its response is over a limit.
pub async fn send(
    url: &str,
    headers: &[(&'static str, &str)],
    body: Option<String>,
    limits: Limits,
) -> Result<Answer, SendError> {
    let exchange = exchange(url, headers, body, limits);
    super::within(limits.total, exchange).await.unwrap_or(Err(SendError::TimedOut))
}

async fn exchange(
    url: &str,
    headers: &[(&'static str, &str)],
    body: Option<String>,
    limits: Limits,
) -> Result<Answer, SendError> {
    let mut request = if body.is_some() { Request::post(url) } else { Request::get(url) };
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from(body.unwrap_or_default()));
    let mut request = request.body(body).map_err(|_| SendError::InvalidRequest)?;
    request.extensions_mut().insert(RequestOptionsExtension(options(limits)));
    let response = send_request(request).await.map_err(failed)?;
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let reads_body = parts.status == StatusCode::OK || limits.reads_error_body;
    while reads_body && let Some(frame) = body.frame().await {
        let frame = frame.map_err(|code| match failed(code) {
            SendError::Failed(_) => SendError::Interrupted,
            error => error,
        })?;
        let Some(chunk) = frame.data_ref() else {
            continue;
        };
        if bytes.len().saturating_add(chunk.len()) > limits.body_bytes_max {
            return Err(SendError::TooLarge);
        }
        bytes.extend_from_slice(chunk);
    }
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: bytes })
}

/// Maps a host error. The host's own timers may fire just before the deadline does.
fn failed(code: ErrorCode) -> SendError {
    match code {
        ErrorCode::ConnectionReadTimeout
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionWriteTimeout
        | ErrorCode::DnsTimeout
        | ErrorCode::HttpResponseTimeout => SendError::TimedOut,
        code => SendError::Failed(cause(code)),
    }
}

/// What a host means. Spin reports everything that goes wrong in TLS as [`ErrorCode::TlsProtocolError`], and every failed
/// connection as refused.
fn cause(code: ErrorCode) -> UnreachableCause {
    match code {
        ErrorCode::ConnectionRefused => UnreachableCause::ConnectionRefused,
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => UnreachableCause::ConnectionClosed,
        ErrorCode::DestinationIpProhibited => UnreachableCause::AddressBlocked,
        ErrorCode::DestinationNotFound | ErrorCode::DnsError(_) => UnreachableCause::NameUnknown,
        ErrorCode::HttpRequestDenied => UnreachableCause::NotAllowed,
        ErrorCode::InternalError(Some(text)) => UnreachableCause::Other(text.chars().take(OTHER_CHARS_MAX).collect()),
        // `serve` says in its text what is wrong with the certificate.
        ErrorCode::TlsAlertReceived(alert) => match alert.alert_message {
            Some(text) => UnreachableCause::Other(text.chars().take(OTHER_CHARS_MAX).collect()),
            None => UnreachableCause::TlsFailed,
        },
        ErrorCode::TlsCertificateError => UnreachableCause::CertificateRejected,
        ErrorCode::TlsProtocolError => UnreachableCause::TlsFailed,
        _ => UnreachableCause::ConnectionFailed,
    }
}

fn options(limits: Limits) -> RequestOptions {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let options = RequestOptions::new();
    // A host without such a timeout reports an error; the deadline applies anyway.
    let _ = options.set_connect_timeout(Some(nanoseconds(limits.connect.min(limits.total))));
    let _ = options.set_first_byte_timeout(Some(nanoseconds(limits.total)));
    let _ = options.set_between_bytes_timeout(Some(nanoseconds(limits.total)));
    options
}
