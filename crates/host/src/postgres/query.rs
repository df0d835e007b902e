//! Runs one statement to its end.

#![expect(clippy::result_large_err, reason = "the error is Spin's")]

use super::connect::{Connection, Connector, describe};
use super::pools::Database;
use super::values;
use crate::bindings::postgres::{Column, DbError, DbValue, Error, ParameterValue, QueryError};
use deadpool::managed::Object;
use futures_util::{StreamExt as _, pin_mut};
use tokio_postgres::Statement;

/// Maximum size of the values that one statement returns.
const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Columns and rows, and the error that ended the statement after it began to run.
pub struct Answer {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<DbValue>>,
    pub late: Option<Error>,
}

impl Database {
    /// Runs one statement to its end. Its writes are committed when this returns. If the caller is dropped before, its
    /// connection is closed, and the outcome is unknown.
    pub async fn query(&self, sql: &str, parameters: Vec<ParameterValue>) -> Result<Answer, Error> {
        let parameters = parameters.into_iter().map(values::parameter).collect::<Result<Vec<_>, _>>()?;
        let mut borrowed = Borrowed(Some(self.pool.get().await.map_err(|error| self.no_connection(error))?));
        let connection = borrowed.connection()?;
        let statement = connection.prepare(sql).await.map_err(|error| query_error(&error))?;
        if statement.params().len() != parameters.len() {
            return Err(Error::BadParameter(format!("the statement has {} parameters", statement.params().len())));
        }
        let mut answer = Answer { columns: values::columns(&statement), rows: Vec::new(), late: None };
        answer.late = read(connection, &statement, &parameters, &mut answer.rows).await.err();
        if answer.late.as_ref().is_none_or(leaves_connection_usable) {
            borrowed.give_back();
        }
        Ok(answer)
    }
}

/// A connection that returns to its pool only if a statement came to its end.
struct Borrowed(Option<Object<Connector>>);

impl Borrowed {
    fn connection(&mut self) -> Result<&mut Connection, Error> {
        self.0.as_deref_mut().ok_or_else(|| Error::Other("no connection".to_owned()))
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

async fn read(
    connection: &Connection,
    statement: &Statement,
    parameters: &[values::Parameter],
    rows: &mut Vec<Vec<DbValue>>,
) -> Result<(), Error> {
    let parameters = parameters.iter().map(|parameter| &**parameter as &(dyn tokio_postgres::types::ToSql + Sync));
    let found = connection.client.query_raw(statement, parameters).await.map_err(|error| query_error(&error))?;
    pin_mut!(found);
    let mut bytes = 0_usize;
    // The end of the stream is the server's `ReadyForQuery`, which comes after the commit.
    while let Some(row) = found.next().await {
        let row = row.map_err(|error| query_error(&error))?;
        bytes = bytes.saturating_add(row.raw_size_bytes());
        if bytes > RESULT_BYTES_MAX {
            return Err(Error::Other(format!("the result is larger than {RESULT_BYTES_MAX} bytes")));
        }
        rows.push(values::row(&row)?);
    }
    Ok(())
}

/// Whether `error` concerns the statement only. After others, such as a server that shuts down or only accepts reads, the
/// next statement gets another connection.
fn leaves_connection_usable(error: &Error) -> bool {
    let Error::QueryFailed(QueryError::DbError(DbError { code, .. })) = error else {
        return false;
    };
    !(["08", "57P"].iter().any(|class| code.starts_with(class))
        || ["0A000", "25006", "26000", "53300"].contains(&code.as_str()))
}

fn query_error(error: &tokio_postgres::Error) -> Error {
    let Some(db_error) = error.as_db_error() else {
        return Error::QueryFailed(QueryError::Text(describe(error)));
    };
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text: db_error.to_string(),
        severity: db_error.severity().to_owned(),
        code: db_error.code().code().to_owned(),
        message: db_error.message().to_owned(),
        detail: db_error.detail().map(str::to_owned),
        extras: Vec::new(),
    }))
}
