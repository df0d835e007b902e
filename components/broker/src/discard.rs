//! Discards the rest of a request that was answered early.
//!
//! A client that sends its whole request before it reads never sees the response if the host closes the connection
//! on unread data: that resets it (RFC 9112 §9.6). `vouchsafe serve` reads every body before it calls; Spin does not.

use http_body_util::BodyExt as _;
use spin_sdk::http::Request;
use std::time::Duration;
use vouchsafe_guest::within;

/// Most bytes of a body that are discarded.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// Longest that a body is discarded for.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the rest of `request` after its response, within limits.
pub fn rest(request: Request) {
    // A client that expects `100 Continue` sends nothing after another answer, and reading might make the host send it.
    let waits = request.headers().contains_key("expect");
    if waits || matches!(request.method().as_str(), "GET" | "HEAD") {
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
