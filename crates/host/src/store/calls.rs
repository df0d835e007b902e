//! Calls of the store on the thread of its database.

use crate::bindings::sqlite;
use crate::clock::Clock;
use crate::sqlite::{Database, Kind, Work, call, unavailable};
use std::future::{Pending, pending};
use std::sync::Arc;
use std::time::Duration;
use vouchsafe_store::{Cause, Deadline, Error, UnixMilliseconds};
use wasmtime_wasi::HostWallClock as _;

/// Longest time that a caller waits, as in the component.
const CALL_DEADLINE: Duration = Duration::from_secs(1);

/// The store on one database.
pub struct HostStore {
    database: Arc<Database>,
    clock: Clock,
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

/// The deadline of a call that never waits. The caller's own deadline bounds it.
pub fn unlimited() -> Deadline<Pending<()>> {
    Deadline::new(pending())
}
