//! Runs one statement, and converts values and errors.

use crate::bindings::sqlite::{Error, RowResult, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};

/// Maximum size of the values that one statement returns.
pub const RESULT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Columns and rows, and the error that ended the statement after it began to run.
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<RowResult>,
    pub late: Option<Error>,
}

/// Runs a statement to its end.
pub fn query(connection: &rusqlite::Connection, sql: &str, parameters: &[Value]) -> Result<Answer, Error> {
    let mut statement = connection.prepare_cached(sql).map_err(|error| to_error(&error))?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let parameters = parameters.iter().map(to_sql);
    let mut cursor = statement.query(rusqlite::params_from_iter(parameters)).map_err(|error| to_error(&error))?;
    let mut rows = Vec::new();
    let mut bytes = 0_usize;
    let late = loop {
        match cursor.next() {
            Ok(Some(row)) => match read_row(row, columns.len(), &mut bytes) {
                Ok(row) => rows.push(row),
                Err(error) => break Some(error),
            },
            Ok(None) => break None,
            Err(error) => break Some(to_error(&error)),
        }
    };
    Ok(Answer { columns, rows, late })
}

fn read_row(row: &rusqlite::Row<'_>, columns: usize, bytes: &mut usize) -> Result<RowResult, Error> {
    let mut values = Vec::with_capacity(columns);
    for index in 0..columns {
        let value = from_sql(row.get_ref(index).map_err(|error| to_error(&error))?);
        *bytes = bytes.saturating_add(match &value {
            Value::Text(text) => text.len(),
            Value::Blob(blob) => blob.len(),
            Value::Integer(_) | Value::Real(_) | Value::Null => 8,
        });
        if *bytes > RESULT_BYTES_MAX {
            return Err(Error::Io(format!("the result is larger than {RESULT_BYTES_MAX} bytes")));
        }
        values.push(value);
    }
    Ok(RowResult { values })
}

fn to_sql(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Real(number) => ValueRef::Real(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(blob) => ValueRef::Blob(blob),
        Value::Null => ValueRef::Null,
    })
}

fn from_sql(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
        ValueRef::Null => Value::Null,
    }
}

pub fn to_error(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => Error::DatabaseFull,
        _ => Error::Io(error.to_string()),
    }
}
