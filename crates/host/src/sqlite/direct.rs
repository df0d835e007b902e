//! The store's database, used on the thread that has the connection.

use super::query::query;
use crate::bindings::sqlite;
use futures_util::FutureExt as _;
use rusqlite::Connection;
use std::cell::OnceCell;
use std::future::{Future, pending};
use vouchsafe_store::{Cause, Database, Dialect, Error, Row, Statement, Store, UnixMilliseconds, Value};

/// A connection whose statements run at once, so that no call of the store ever waits.
pub struct Direct<'a>(&'a Connection);

impl Database for Direct<'_> {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = ();

    fn alarm(&self) -> ((), impl Future<Output = ()>) {
        ((), pending())
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let parameters: Vec<_> = statement.parameters.into_iter().map(to_sqlite).collect();
        let answer = query(self.0, &statement.sql, &parameters).map_err(unavailable)?;
        match answer.late {
            Some(error) => Err(unavailable(error)),
            None => Ok(answer.rows.into_iter().map(|row| row.values.into_iter().map(from_sqlite).collect()).collect()),
        }
    }
}

/// The store of a connection, opened by its first call.
pub struct LazyStore<'a> {
    connection: &'a Connection,
    store: OnceCell<Store<Direct<'a>>>,
}

impl<'a> LazyStore<'a> {
    pub fn new(connection: &'a Connection) -> Self {
        Self { connection, store: OnceCell::new() }
    }

    pub fn get(&self) -> Option<&Store<Direct<'a>>> {
        self.store.get()
    }

    /// Opens the store if it is not open. A failure is not remembered.
    pub fn open(&self, now: UnixMilliseconds) -> Result<&Store<Direct<'a>>, Error> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = at_once(Store::open(Direct(self.connection), now))?;
        Ok(self.store.get_or_init(|| store))
    }
}

/// A function, because both types are foreign.
pub fn unavailable(error: sqlite::Error) -> Error {
    Error::Unavailable(match error {
        sqlite::Error::AccessDenied => Cause::AccessDenied,
        sqlite::Error::DatabaseFull => Cause::DatabaseFull,
        sqlite::Error::InvalidConnection => Cause::InvalidConnection,
        sqlite::Error::Io(text) => Cause::Io(text),
        sqlite::Error::NoSuchDatabase => Cause::NoSuchDatabase,
    })
}

pub fn to_sqlite(value: Value) -> sqlite::Value {
    match value {
        Value::Blob(bytes) => sqlite::Value::Blob(bytes),
        Value::Integer(number) => sqlite::Value::Integer(number),
        Value::Null => sqlite::Value::Null,
        Value::Real(number) => sqlite::Value::Real(number),
        Value::Text(text) => sqlite::Value::Text(text),
    }
}

pub fn from_sqlite(value: sqlite::Value) -> Value {
    match value {
        sqlite::Value::Blob(bytes) => Value::Blob(bytes),
        sqlite::Value::Integer(number) => Value::Integer(number),
        sqlite::Value::Null => Value::Null,
        sqlite::Value::Real(number) => Value::Real(number),
        sqlite::Value::Text(text) => Value::Text(text),
    }
}

/// The result of a call of the store, which never waits here: its database answers at once.
pub fn at_once<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    call.now_or_never().unwrap_or(Err(Error::Unavailable(Cause::Interrupted)))
}
