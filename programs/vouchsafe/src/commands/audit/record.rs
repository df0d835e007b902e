//! A row of a table of the store.

use serde_json::{Map, Value};

/// A row of a table.
#[derive(Clone, Debug)]
pub struct Record {
    pub seq: u64,
    pub columns: Map<String, Value>,
}

impl Record {
    pub fn text(&self, name: &str) -> &str {
        self.columns.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> u64 {
        self.columns.get(name).and_then(Value::as_u64).unwrap_or(0)
    }
}
