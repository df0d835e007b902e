//! Responses that are sent before the request's body was read.
//!
//! A client that sends its whole request before it reads never sees such a response if the connection is closed
//! at once: closing a socket that holds unread data resets the connection (RFC 9112 §9.6). So the rest of the body is
//! read and discarded behind the response, within limits, and the connection is closed after that.

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Most bytes of a body that are discarded.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// Longest that a body is discarded for.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// A response's body, behind which the rest of the request's is discarded.
pub struct Lingering<B> {
    body: B,
    unread: Option<Incoming>,
}

/// `response`, and then the end of the connection if the request's body is not at its end.
pub fn respond<B>(mut response: Response<B>, unread: Incoming) -> Response<Lingering<B>> {
    let unread = Some(unread).filter(|unread| !unread.is_end_stream());
    if unread.is_some() {
        // RFC 9110 §10.1.1: a client that waits for `100 Continue` must know that no other request is read.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response.map(|body| Lingering { body, unread })
}

impl<B: Body<Data = Bytes> + Unpin> Body for Lingering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // ORDER: the head is written by now. A read before it would have hyper send `100 Continue`.
        if let Some(unread) = self.unread.take() {
            tokio::spawn(tokio::time::timeout(DISCARD_TIMEOUT, discard(unread)));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.unread.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Reads `body` up to its limit; whether that was the end of it.
async fn discard(mut body: impl Body<Data = Bytes> + Unpin) -> bool {
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(bytes) else {
            return false;
        };
        left = rest;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[tokio::test]
    async fn discards_up_to_its_limit() {
        for (bytes, ended) in [
            (0, true),
            (DISCARDED_BYTES_MAX, true),
            (DISCARDED_BYTES_MAX + 1, false),
        ] {
            let body = Full::new(Bytes::from(vec![0; bytes]));
            assert_eq!(discard(body).await, ended, "{bytes}");
        }
    }
}
