//! Conversions between Spin's and the client library's values, for the types that the store uses and their like.

#![expect(clippy::result_large_err, reason = "the error is Spin's")]

use crate::bindings::postgres::{Column, DbDataType, DbValue, Error, ParameterValue};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, Statement};

/// A parameter for the client library.
pub type Parameter = Box<dyn ToSql + Send + Sync>;

/// NULL of any type.
#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

pub fn parameter(value: ParameterValue) -> Result<Parameter, Error> {
    Ok(match value {
        ParameterValue::Binary(bytes) => Box::new(bytes),
        ParameterValue::Boolean(value) => Box::new(value),
        ParameterValue::DbNull => Box::new(Null),
        ParameterValue::Floating32(number) => Box::new(number),
        ParameterValue::Floating64(number) => Box::new(number),
        ParameterValue::Int16(number) => Box::new(number),
        ParameterValue::Int32(number) => Box::new(number),
        ParameterValue::Int64(number) => Box::new(number),
        ParameterValue::Str(text) => Box::new(text),
        _ => return Err(Error::BadParameter("`vouchsafe serve` does not support this type of parameter".to_owned())),
    })
}

pub fn columns(statement: &Statement) -> Vec<Column> {
    let column = |column: &tokio_postgres::Column| Column {
        name: column.name().to_owned(),
        data_type: data_type(column.type_()),
    };
    statement.columns().iter().map(column).collect()
}

fn data_type(kind: &Type) -> DbDataType {
    match *kind {
        Type::BOOL => DbDataType::Boolean,
        Type::BYTEA => DbDataType::Binary,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::BPCHAR | Type::NAME | Type::TEXT | Type::VARCHAR => DbDataType::Str,
        _ => DbDataType::Other(kind.name().to_owned()),
    }
}

pub fn row(row: &Row) -> Result<Vec<DbValue>, Error> {
    row.columns().iter().enumerate().map(|(index, column)| value(row, index, column.type_())).collect()
}

fn value(row: &Row, index: usize, kind: &Type) -> Result<DbValue, Error> {
    match *kind {
        Type::BOOL => get(row, index, DbValue::Boolean),
        Type::BYTEA => get(row, index, DbValue::Binary),
        Type::FLOAT4 => get(row, index, DbValue::Floating32),
        Type::FLOAT8 => get(row, index, DbValue::Floating64),
        Type::INT2 => get(row, index, DbValue::Int16),
        Type::INT4 => get(row, index, DbValue::Int32),
        Type::INT8 => get(row, index, DbValue::Int64),
        Type::BPCHAR | Type::NAME | Type::TEXT | Type::VARCHAR => get(row, index, DbValue::Str),
        _ => get(row, index, |Raw(bytes)| DbValue::Unsupported(bytes)),
    }
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, index: usize, make: impl FnOnce(T) -> DbValue) -> Result<DbValue, Error> {
    let value = row.try_get::<_, Option<T>>(index);
    let value = value.map_err(|_| Error::ValueConversionFailed(format!("column {index}")))?;
    Ok(value.map_or(DbValue::DbNull, make))
}

/// A value as it came from the server.
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
