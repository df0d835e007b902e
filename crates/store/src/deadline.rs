//! The deadline of a call. It bounds how long the caller waits, but never ends a statement that other calls share.
//!
//! Does not read a clock; a future signals the deadline.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use crate::error::{Cause, Error};

/// A deadline that passes when its future is ready.
#[derive(Debug)]
pub struct Deadline<F> {
    end: F,
    /// Whether `end` is ready; it is not polled again.
    over: bool,
}

impl<F: Future<Output = ()> + Unpin> Deadline<F> {
    pub fn new(end: F) -> Self {
        Self { end, over: false }
    }

    /// Returns the result of `call`, or [`Cause::Deadline`] if there is none in time. The abandoned call is dropped, but
    /// its statement may still take effect.
    pub async fn limit<T>(&mut self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut call = pin!(call);
        poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending if self.is_over(context) => Poll::Ready(Err(passed())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Fails with [`Cause::Deadline`] if the deadline has passed.
    pub(crate) async fn check(&mut self) -> Result<(), Error> {
        let over = poll_fn(|context| Poll::Ready(self.is_over(context))).await;
        if over { Err(passed()) } else { Ok(()) }
    }

    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.over = self.over || Pin::new(&mut self.end).poll(context).is_ready();
        self.over
    }
}

fn passed() -> Error {
    Error::Unavailable(Cause::Deadline)
}
