//! The database.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use spin_sdk::sqlite::Connection;
use spin_sdk::wit_bindgen::StreamWriter;
use vouchsafe_store::{Database, Dialect, Error, Row, Statement, Store};

use crate::bindings::{spin::sqlite::sqlite::RowResult, wit_stream};
use crate::convert;
use crate::deadlines::{now, within_statement_deadline};

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

/// A connection of `spin:sqlite`, which all instances share on Spin.
pub struct Sqlite(Connection);

impl Database for Sqlite {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = StreamWriter<RowResult>;

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
