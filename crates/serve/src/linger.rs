//! Responses that are sent before the whole request body was read.
//!
//! A client that sends its whole request before it reads would not see such a response if the connection were closed at
//! once, because closing a socket with unread data resets the connection (RFC 9112 §9.6). So the rest of the body is
//! read and discarded, within limits, before the connection is closed.

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Maximum number of bytes of a body that are discarded.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;
/// Longest time for which a body is discarded.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// A response body that, once it is being sent, discards the rest of the request body.
pub struct Lingering<B> {
    body: B,
    unread: Option<Incoming>,
}

/// Prepares `response` to be sent while `unread` may have unread data: the connection is then closed after it.
pub fn respond<B>(mut response: Response<B>, unread: Incoming) -> Response<Lingering<B>> {
    let unread = Some(unread).filter(|unread| !unread.is_end_stream());
    if unread.is_some() {
        // A client that waits for `100 Continue` must know that no other request will be read (RFC 9110 §10.1.1).
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response.map(|body| Lingering { body, unread })
}

impl<B: Body<Data = Bytes> + Unpin> Body for Lingering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // ORDER: after the head was written. An earlier read would make hyper send `100 Continue`.
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

/// Reads and drops `body` up to the limit; returns whether its end was reached.
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
    async fn discards_up_to_the_limit() {
        for (bytes, ended) in [(0, true), (DISCARDED_BYTES_MAX, true), (DISCARDED_BYTES_MAX + 1, false)] {
            let body = Full::new(Bytes::from(vec![0; bytes]));
            assert_eq!(discard(body).await, ended, "{bytes}");
        }
    }
}
