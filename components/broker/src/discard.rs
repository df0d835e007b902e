//! Discards the rest of a request that was answered early.
//!
//! If the host closes a connection with unread data, it is reset (RFC 9112 §9.6), and a client that sends its whole
//! request before reading never sees the response. `vouchsafe serve` reads the body before it calls the broker; Spin
//! does not.

use http_body_util::BodyExt as _;
use spin_sdk::http::Request;
use std::time::Duration;
use vouchsafe_guest::within;

/// Most bytes of a body that are discarded.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// Longest time spent discarding a body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the rest of `request` after its response, within limits.
pub fn rest(request: Request) {
    // A client that expects `100 Continue` sends no body after another response, and reading might make the host send
    // one.
    let expects_continue = request.headers().contains_key("expect");
    if expects_continue || matches!(request.method().as_str(), "GET" | "HEAD") {
        return;
    }
    spin_sdk::wasip3::spawn(async move {
        within(DISCARD_TIMEOUT, read(request)).await;
    });
}

async fn read(request: Request) {
    let mut body = request.into_body();
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else {
            return;
        };
        left = rest;
    }
}
