//! Conversions between Spin's PostgreSQL types and the store's.

use crate::bindings::postgres::{DbError, DbValue, Error, ParameterValue, QueryError};
use vouchsafe_store as domain;

/// Whether the connection can't be used any more: it is broken, or its server no longer accepts writes.
pub fn is_lost(error: &Error) -> bool {
    match error {
        Error::QueryFailed(QueryError::DbError(DbError { code, .. })) => {
            code.starts_with("08") || code.starts_with("57P") || code == "25006" || code == "53300"
        }
        Error::BadParameter(_)
        | Error::ConnectionFailed(_)
        | Error::Other(_)
        | Error::QueryFailed(QueryError::Text(_))
        | Error::ValueConversionFailed(_) => true,
    }
}

/// Names what failed. Never the text of an error, which may contain the address with its password, or a bound value.
pub fn unavailable(error: Error) -> domain::Error {
    domain::Error::Unavailable(match error {
        Error::ConnectionFailed(_) => domain::Cause::NotConnected,
        Error::QueryFailed(QueryError::DbError(DbError { code, .. })) if code == "53100" => domain::Cause::DatabaseFull,
        Error::QueryFailed(QueryError::DbError(DbError { code, .. })) => domain::Cause::Io(format!("SQLSTATE {code}")),
        Error::BadParameter(_) | Error::ValueConversionFailed(_) => domain::Cause::UnexpectedRow,
        Error::Other(_) | Error::QueryFailed(QueryError::Text(_)) => domain::Cause::InvalidConnection,
    })
}

pub fn to_postgres(value: domain::Value) -> ParameterValue {
    match value {
        domain::Value::Blob(bytes) => ParameterValue::Binary(bytes),
        domain::Value::Integer(number) => ParameterValue::Int64(number),
        domain::Value::Null => ParameterValue::DbNull,
        domain::Value::Real(number) => ParameterValue::Floating64(number),
        domain::Value::Text(text) => ParameterValue::Str(text),
    }
}

/// The store's statements return no other types.
pub fn from_postgres(value: DbValue) -> Result<domain::Value, domain::Error> {
    match value {
        DbValue::DbNull => Ok(domain::Value::Null),
        DbValue::Int32(number) => Ok(domain::Value::Integer(number.into())),
        DbValue::Int64(number) => Ok(domain::Value::Integer(number)),
        DbValue::Str(text) => Ok(domain::Value::Text(text)),
        _ => Err(domain::Error::Unavailable(domain::Cause::UnexpectedRow)),
    }
}
