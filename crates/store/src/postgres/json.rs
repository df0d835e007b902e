//! The rows of a statement as one parameter: a JSON array of objects, so that one text serves any number of rows.

use crate::database::Value;

/// Text without U+0000, which PostgreSQL can't store: one such row would fail the whole statement. The replacement makes
/// no two texts different that were the same.
pub(crate) fn text(text: String) -> serde_json::Value {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

pub(crate) fn value(value: Value) -> serde_json::Value {
    match value {
        Value::Integer(number) => number.into(),
        Value::Text(value) => text(value),
        Value::Blob(_) | Value::Null | Value::Real(_) => serde_json::Value::Null,
    }
}

/// The parameter with all `rows`.
pub(crate) fn rows(rows: impl Iterator<Item = serde_json::Value>) -> Value {
    Value::Text(serde_json::Value::Array(rows.collect()).to_string())
}
