//! The clock and the deadlines of the store's components.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vouchsafe_store::{Cause, Deadline, Error, UnixMilliseconds};

/// Longest time that a call of the store waits (design: 1 s). A call that ends up running a statement for others
/// returns after that statement, hence within `CALL_DEADLINE + STATEMENT_DEADLINE`.
const CALL_DEADLINE: Duration = Duration::from_secs(1);
/// Longest time for one statement, from its own start, including rows and final result.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(1);

/// The store's own clock.
pub fn now() -> Result<UnixMilliseconds, Error> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let milliseconds = since_epoch.and_then(|duration| u64::try_from(duration.as_millis()).ok());
    milliseconds.map(UnixMilliseconds).ok_or(Error::Unavailable(Cause::Clock))
}

/// The deadline of a call that starts now.
pub fn call_deadline() -> Deadline<impl Future<Output = ()> + Unpin> {
    Deadline::new(Box::pin(spin_sdk::time::sleep(CALL_DEADLINE)))
}

/// Cancels `call` after [`CALL_DEADLINE`]. Not for calls that also write for others: those take their deadline as an
/// argument.
pub async fn within_deadline<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    call_deadline().limit(call).await
}

/// Cancels `statement` after [`STATEMENT_DEADLINE`].
pub async fn within_statement_deadline<T>(statement: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let end = pin!(spin_sdk::time::sleep(STATEMENT_DEADLINE));
    Deadline::new(end).limit(statement).await
}
