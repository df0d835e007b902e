//! Conversions between Spin's SQLite types and the store's.

use spin_sdk::sqlite;
use vouchsafe_store as domain;

/// A function, like the next two: both types are foreign, so `From` cannot be implemented.
pub fn unavailable(error: sqlite::Error) -> domain::Error {
    domain::Error::Unavailable(match error {
        sqlite::Error::AccessDenied => domain::Cause::AccessDenied,
        sqlite::Error::DatabaseFull => domain::Cause::DatabaseFull,
        sqlite::Error::InvalidConnection => domain::Cause::InvalidConnection,
        sqlite::Error::Io(text) => domain::Cause::Io(text),
        sqlite::Error::NoSuchDatabase => domain::Cause::NoSuchDatabase,
    })
}

pub fn to_sqlite(value: domain::Value) -> sqlite::Value {
    match value {
        domain::Value::Blob(bytes) => sqlite::Value::Blob(bytes),
        domain::Value::Integer(number) => sqlite::Value::Integer(number),
        domain::Value::Null => sqlite::Value::Null,
        domain::Value::Real(number) => sqlite::Value::Real(number),
        domain::Value::Text(text) => sqlite::Value::Text(text),
    }
}

pub fn from_sqlite(value: sqlite::Value) -> domain::Value {
    match value {
        sqlite::Value::Blob(bytes) => domain::Value::Blob(bytes),
        sqlite::Value::Integer(number) => domain::Value::Integer(number),
        sqlite::Value::Null => domain::Value::Null,
        sqlite::Value::Real(number) => domain::Value::Real(number),
        sqlite::Value::Text(text) => domain::Value::Text(text),
    }
}
