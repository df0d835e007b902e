//! The port to the database: running single statements.

use std::borrow::Cow;
use std::future::Future;

use crate::error::{Cause, Error, Limit};

/// Whose SQL a database understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

/// A bound parameter or a column of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Blob(Vec<u8>),
    Integer(i64),
    Null,
    Real(f64),
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl TryFrom<u64> for Value {
    type Error = Error;

    fn try_from(number: u64) -> Result<Self, Error> {
        Self::signed(number).map(Self::Integer)
    }
}

impl Value {
    /// Databases have signed integers only.
    pub(crate) fn signed(number: u64) -> Result<i64, Error> {
        i64::try_from(number).map_err(|_| Error::Invalid(Limit::NumberTooLarge))
    }
}

/// One row of a result.
pub type Row = Vec<Value>;

/// One SQL statement with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    pub sql: Cow<'static, str>,
    pub parameters: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: &'static str, parameters: impl Into<Vec<Value>>) -> Self {
        Self { sql: Cow::Borrowed(sql), parameters: parameters.into() }
    }
}

/// Runs statements, and lets one task wake another.
pub trait Database {
    const DIALECT: Dialect;

    /// Dropping it ends the corresponding sleep.
    type Alarm;

    /// Creates an alarm and its sleep. A `Waker` would not do, because the runtime of components can't wake one task of
    /// a component from another.
    fn alarm(&self) -> (Self::Alarm, impl Future<Output = ()>);

    /// Returns all rows of `statement` once the database has confirmed that it is complete and, if it writes, durable.
    ///
    /// Fails with [`Cause::Deadline`] if that takes too long. Nothing else limits a statement that several calls share.
    fn run(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, Error>>;
}

impl<D: Database> Database for &D {
    const DIALECT: Dialect = D::DIALECT;
    type Alarm = D::Alarm;

    fn alarm(&self) -> (Self::Alarm, impl Future<Output = ()>) {
        D::alarm(self)
    }

    fn run(&self, statement: Statement) -> impl Future<Output = Result<Vec<Row>, Error>> {
        D::run(self, statement)
    }
}

/// Reads the number in a column.
pub(crate) fn number(row: &Row, column: usize) -> Result<u64, Error> {
    match row.get(column) {
        Some(Value::Integer(number)) => u64::try_from(*number).map_err(|_| unexpected()),
        Some(Value::Blob(_) | Value::Null | Value::Real(_) | Value::Text(_)) | None => Err(unexpected()),
    }
}

/// Takes the text in a column.
pub(crate) fn text(row: &mut Row, column: usize) -> Result<String, Error> {
    match row.get_mut(column) {
        Some(Value::Text(text)) => Ok(std::mem::take(text)),
        Some(Value::Blob(_) | Value::Integer(_) | Value::Null | Value::Real(_)) | None => Err(unexpected()),
    }
}

fn unexpected() -> Error {
    Error::Unavailable(Cause::UnexpectedRow)
}
