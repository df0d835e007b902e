//! Records as lines.

use super::ocsf;
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
    /// The columns of the table, as JSON.
    Jsonl,
    /// Events of class Authentication (OCSF 1.8).
    Ocsf,
}

impl Format {
    /// One record, without the end of the line.
    pub fn line(self, columns: &Map<String, Value>) -> String {
        match self {
            Self::Csv => columns.values().map(csv).collect::<Vec<_>>().join(","),
            Self::Jsonl => Value::Object(columns.clone()).to_string(),
            Self::Ocsf => ocsf::event(columns).to_string(),
        }
    }
}

pub fn csv_header(columns: &Map<String, Value>) -> String {
    columns.keys().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// A field of RFC 4180. Spreadsheets take a field that begins with one of these characters for a formula, and subjects
/// are chosen by others, so such a field begins with an apostrophe.
fn csv(value: &Value) -> String {
    let text = match value {
        Value::Number(number) => return number.to_string(),
        Value::String(text) => text.as_str(),
        _ => "",
    };
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { &format!("'{text}") } else { text };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quotes_fields_and_disarms_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=cmd()", "'=cmd()"),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(csv(&json!(text)), expected, "{text}");
        }
        assert_eq!((csv(&json!(-5)), csv(&Value::Null)), ("-5".to_owned(), String::new()));
    }
}
