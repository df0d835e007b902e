//! The body of an outbound request's answer.

use super::attempt::Attempt;
use super::failure::Failure;
use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::Error;

/// Ends a task with this value.
pub struct AbortOnDrop(pub tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A response body that ends with an error when the server stops sending.
pub struct TimedBody {
    incoming: hyper::body::Incoming,
    idle_max: Duration,
    idle: Pin<Box<Sleep>>,
    attempt: Attempt,
    _connection: AbortOnDrop,
}

impl TimedBody {
    pub fn new(
        incoming: hyper::body::Incoming,
        idle_max: Duration,
        mut attempt: Attempt,
        connection: AbortOnDrop,
    ) -> Self {
        attempt.set_answered();
        Self { incoming, idle_max, idle: Box::pin(tokio::time::sleep(idle_max)), attempt, _connection: connection }
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(this.attempt.fail(Failure::interrupted(error))))),
            Poll::Ready(frame) => {
                let deadline = Instant::now().checked_add(this.idle_max).unwrap_or_else(Instant::now);
                this.idle.as_mut().reset(deadline);
                this.attempt.set_answered();
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending if this.idle.as_mut().poll(cx).is_ready() => {
                let failure = Failure::answer_timeout(this.idle_max);
                Poll::Ready(Some(Err(this.attempt.fail(failure))))
            }
            Poll::Pending => {
                this.attempt.set_waiting();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.incoming.size_hint()
    }
}
