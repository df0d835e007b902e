//! Calls of the host's own store, as jobs of the thread that has the connection.

use super::direct::Direct;
use tokio::sync::oneshot;
use vouchsafe_store::{Cause, Error, Store, UnixMilliseconds};

/// Whether a job may share a transaction with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Alone,
    Read,
    Write,
}

/// What a call does with the store. It may run twice, if the transaction of its first run was rolled back.
pub trait Work<T>: FnMut(&Store<Direct<'_>>, UnixMilliseconds) -> Result<T, Error> + Send + 'static {}

impl<T, W: FnMut(&Store<Direct<'_>>, UnixMilliseconds) -> Result<T, Error> + Send + 'static> Work<T> for W {}

/// A call on the thread of its database, with any result.
pub trait Call: Send {
    fn kind(&self) -> Kind;

    /// When the caller made it.
    fn now(&self) -> UnixMilliseconds;

    fn run(&mut self, store: &Store<Direct<'_>>);

    /// Sends the caller the result of the last run, or why it doesn't count.
    fn reply(self: Box<Self>, outcome: Result<(), Error>);
}

/// A call with its answer, until it is sent.
struct Pended<T, W> {
    kind: Kind,
    now: UnixMilliseconds,
    work: W,
    answer: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

/// A call and its answer.
pub fn call<T: Send + 'static>(
    kind: Kind,
    now: UnixMilliseconds,
    work: impl Work<T>,
) -> (Box<dyn Call>, oneshot::Receiver<Result<T, Error>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Pended { kind, now, work, answer: None, reply }), answer)
}

impl<T: Send, W: Work<T>> Call for Pended<T, W> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn now(&self) -> UnixMilliseconds {
        self.now
    }

    fn run(&mut self, store: &Store<Direct<'_>>) {
        self.answer = Some((self.work)(store, self.now));
    }

    fn reply(self: Box<Self>, outcome: Result<(), Error>) {
        let answer = match outcome {
            Ok(()) => self.answer.unwrap_or(Err(Error::Unavailable(Cause::Interrupted))),
            Err(error) => Err(error),
        };
        // The caller may be gone.
        drop(self.reply.send(answer));
    }
}
