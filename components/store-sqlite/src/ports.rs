//! The database, the clock and the deadlines.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spin_sdk::sqlite::Connection;
use spin_sdk::wit_bindgen::StreamWriter;
use vouchsafe_store::{Cause, Database, Deadline, Error, Row, Statement, Store, UnixMilliseconds};

use crate::bindings::{spin::sqlite::sqlite::RowResult, wit_stream};
use crate::convert;

/// Longest time that a call of the store waits (design: 1 s). A call that ends up running a statement for others
/// returns after that statement, hence within `CALL_DEADLINE + STATEMENT_DEADLINE`.
const CALL_DEADLINE: Duration = Duration::from_secs(1);
/// Longest time for one statement, from its own start, including rows and final result.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(1);

thread_local! {
    /// The connection of this instance, open and migrated, for the instance's lifetime.
    static STORE: RefCell<Option<Rc<Store<Sqlite>>>> = const { RefCell::new(None) };
}

/// The instance's store, opened on first use. A failure to open is not remembered.
pub async fn store() -> Result<Rc<Store<Sqlite>>, Error> {
    if let Some(store) = STORE.with_borrow(Clone::clone) {
        return Ok(store);
    }
    // Two concurrent first calls may both open a connection; the later store replaces an equal one. The cell is not
    // borrowed across the await.
    let connection = Connection::open_default().await.map_err(convert::unavailable)?;
    let store = Rc::new(Store::open(Sqlite(connection), now()?).await?);
    STORE.set(Some(Rc::clone(&store)));
    Ok(store)
}

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

/// A connection of `spin:sqlite`, which all instances share on Spin.
pub struct Sqlite(Connection);

impl Database for Sqlite {
    type Alarm = StreamWriter<RowResult>;

    /// A stream that never carries data: its reader wakes when its writer is dropped. Its item type is one that the
    /// component imports anyway.
    fn alarm(&self) -> (Self::Alarm, impl Future<Output = ()>) {
        let (writer, mut reader) = wit_stream::new();
        (writer, async move { drop(reader.next().await) })
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let end = pin!(spin_sdk::time::sleep(STATEMENT_DEADLINE));
        Deadline::new(end).limit(self.finish(statement)).await
    }
}

impl Sqlite {
    async fn finish(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let parameters = statement.parameters.into_iter().map(convert::to_sqlite).collect::<Vec<_>>();
        let answer = self.0.execute(&statement.sql, parameters).await.map_err(convert::unavailable)?;
        // ORDER: read all rows, then the final result, and only then report success: a failed commit is reported
        // nowhere else (I10).
        let rows = answer.collect().await.map_err(convert::unavailable)?;
        Ok(rows.into_iter().map(|row| row.values.into_iter().map(convert::from_sqlite).collect()).collect())
    }
}
