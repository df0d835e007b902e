//! Calls of the store on the thread of its database.

use crate::bindings::sqlite;
use crate::clock::Clock;
use crate::sqlite::{Database, Kind};
use futures_util::FutureExt as _;
use std::future::{Future, Pending, pending};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use vouchsafe_store::{Cause, Deadline, Error, Store, UnixMilliseconds};
use wasmtime_wasi::HostWallClock as _;

use super::direct::{Direct, unavailable};

/// Longest time that a caller waits, as in the component.
const CALL_DEADLINE: Duration = Duration::from_secs(1);

/// The store on one database.
pub struct HostStore {
    database: Arc<Database>,
    clock: Clock,
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

impl HostStore {
    pub fn new(database: Arc<Database>, clock: Clock) -> Self {
        Self { database, clock }
    }

    /// Runs `work` on the thread of the database. What it wrote is durable when this returns; after an error, it may or may
    /// not be.
    pub async fn call<T: Send + 'static>(&self, kind: Kind, work: impl Work<T>) -> Result<T, Error> {
        let now = u64::try_from(self.clock.now().as_millis()).map_err(|_| Error::Unavailable(Cause::Clock))?;
        let (call, answer) = call(kind, UnixMilliseconds(now), work);
        self.database.call(call).map_err(unavailable)?;
        match tokio::time::timeout(CALL_DEADLINE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unavailable(sqlite::Error::Io("the database thread has ended".into()))),
            Err(_) => Err(Error::Unavailable(Cause::Deadline)),
        }
    }
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
            Ok(()) => self.answer.unwrap_or(Err(Error::Unavailable(Cause::Deadline))),
            Err(error) => Err(error),
        };
        // The caller may be gone.
        drop(self.reply.send(answer));
    }
}

/// The result of a call of the store, which never waits here: its database answers at once.
pub fn at_once<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    call.now_or_never().unwrap_or(Err(Error::Unavailable(Cause::Deadline)))
}

/// The deadline of a call that never waits. The caller's own deadline bounds it.
pub fn unlimited() -> Deadline<Pending<()>> {
    Deadline::new(pending())
}
