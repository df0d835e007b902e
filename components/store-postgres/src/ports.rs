//! The database.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use spin_sdk::wit_bindgen::StreamWriter;
use vouchsafe_store::{Cause, Database, Dialect, Error, Row, Statement, Store};

use crate::bindings::postgres::{self, Connection, DbValue};
use crate::bindings::wit_stream;
use crate::convert;
use crate::deadlines::{now, within_statement_deadline};

/// The variable of the environment that contains the database's address, usually with a password.
const ADDRESS: &str = "POSTGRES_ADDRESS";

thread_local! {
    /// The connection of this instance, checked, until it is lost.
    static STORE: RefCell<Option<Rc<Store<Postgres>>>> = const { RefCell::new(None) };
}

/// The instance's store, opened on first use and whenever its connection was lost. A failure to open is not remembered.
pub async fn store() -> Result<Rc<Store<Postgres>>, Error> {
    if let Some(store) = STORE.with_borrow(Clone::clone) {
        return Ok(store);
    }
    // Two concurrent first calls may both open a connection; the later store replaces an equal one. The cell is not
    // borrowed across the await.
    let address = std::env::var(ADDRESS).map_err(|_| Error::Unavailable(Cause::NoSuchDatabase))?;
    let connection = Connection::open_async(address).await.map_err(convert::unavailable)?;
    let store = Rc::new(Store::open(Postgres(connection), now()?).await?);
    STORE.set(Some(Rc::clone(&store)));
    Ok(store)
}

/// A connection of `spin:postgres`.
pub struct Postgres(Connection);

impl Database for Postgres {
    const DIALECT: Dialect = Dialect::Postgres;
    type Alarm = StreamWriter<Vec<DbValue>>;

    /// A stream that never carries data: its reader wakes when its writer is dropped. Its item type is one that the
    /// component imports anyway.
    fn alarm(&self) -> (Self::Alarm, impl Future<Output = ()>) {
        let (writer, mut reader) = wit_stream::new();
        (writer, async move { drop(reader.next().await) })
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        within_statement_deadline(self.finish(statement)).await
    }
}

impl Postgres {
    async fn finish(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let rows = self.query(statement).await.map_err(|error| {
            if convert::is_lost(&error) {
                STORE.set(None);
            }
            convert::unavailable(error)
        })?;
        rows.into_iter().map(|row| row.into_iter().map(convert::from_postgres).collect()).collect()
    }

    async fn query(&self, statement: Statement) -> Result<Vec<Vec<DbValue>>, postgres::Error> {
        let parameters = statement.parameters.into_iter().map(convert::to_postgres).collect();
        let (_, mut rows, end) = self.0.query_async(statement.sql.into_owned(), parameters).await?;
        // ORDER: read all rows, then the final result, and only then report success: a failed commit is reported
        // nowhere else, and a stream that is dropped early looks like success (I10).
        let mut read = Vec::new();
        while let Some(row) = rows.next().await {
            read.push(row);
        }
        end.await?;
        Ok(read)
    }
}
