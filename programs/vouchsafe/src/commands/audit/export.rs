//! `vouchsafe audit export`.

mod ocsf;

use super::database::Database;
use crate::client::moment::{self, Moment};
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::{Failure, clock};

/// Print audit records: one JSON object or OCSF event a line, or CSV.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed, 2 the database cannot be read or the command line is wrong.

Examples:
  vouchsafe audit export /var/lib/vouchsafe --format ocsf --since 24h >events.jsonl
  vouchsafe audit export /var/lib/vouchsafe --format jsonl --jkt kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k
  vouchsafe audit export /var/lib/vouchsafe --format csv --subject repo:acme/app --audience https://deploy.example")]
pub struct Args {
    /// A state directory or a database.
    #[arg(value_name = "DB")]
    database: PathBuf,
    /// Output format.
    #[arg(long, value_enum)]
    format: Format,
    /// Only decisions at this moment or later: a time, or a duration before now.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    since: Option<Moment>,
    /// Only decisions before this moment.
    #[arg(long, value_name = "MOMENT", value_parser = moment::parse)]
    until: Option<Moment>,
    /// Only decisions about this subject: the `sub` of its tokens without `<issuer>:`.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Only decisions for this audience.
    #[arg(long, value_name = "A")]
    audience: Option<String>,
    /// Only decisions with a proof of possession by this key: `cnf.jkt` of the tokens that are bound to it.
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    jkt: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Comma-separated values (RFC 4180) with a header.
    Csv,
    /// The columns of the table, as JSON.
    Jsonl,
    /// Events of class Authentication (OCSF 1.8).
    Ocsf,
}

const SELECT: &str = "SELECT * FROM audit WHERE decided_at_ms >= ?1 AND decided_at_ms < ?2 \
    AND (?3 IS NULL OR subject = ?3) AND (?4 IS NULL OR audience = ?4) AND ";

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let database = Database::read(&args.database)?;
    let now = clock::unix_seconds()?;
    let ms = |moment: Moment| i64::try_from(moment.seconds(now).saturating_mul(1000)).unwrap_or(i64::MAX);
    let (since, until) = (args.since.map_or(0, ms), args.until.map_or(i64::MAX, ms));
    let print = || -> rusqlite::Result<()> {
        // Databases of older brokers have no such column.
        let by_key = if args.jkt.is_some() { "jkt = ?5" } else { "?5 IS NULL" };
        let mut statement = database.connection.prepare(&format!("{SELECT}{by_key} ORDER BY seq"))?;
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        if args.format == Format::Csv {
            println!("{}", names.join(","));
        }
        let mut rows = statement.query((since, until, &args.subject, &args.audience, &args.jkt))?;
        while let Some(row) = rows.next()? {
            let values = (0..names.len()).map(|place| row.get_ref(place)).collect::<rusqlite::Result<Vec<_>>>()?;
            match args.format {
                Format::Csv => println!("{}", values.into_iter().map(csv).collect::<Vec<_>>().join(",")),
                Format::Jsonl => println!("{}", Value::Object(object(&names, &values))),
                Format::Ocsf => println!("{}", ocsf::event(&object(&names, &values))),
            }
        }
        Ok(())
    };
    print().map_err(|error| database.failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn object(names: &[String], values: &[ValueRef<'_>]) -> Map<String, Value> {
    let member = |(name, value): (&String, &ValueRef<'_>)| {
        let value = match *value {
            ValueRef::Integer(number) => number.into(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
            ValueRef::Blob(_) | ValueRef::Null | ValueRef::Real(_) => Value::Null,
        };
        (name.clone(), value)
    };
    names.iter().zip(values).map(member).collect()
}

/// A field of RFC 4180. Spreadsheets take a field that begins with one of these characters for a formula, and subjects
/// are chosen by others, so such a field begins with an apostrophe.
fn csv(value: ValueRef<'_>) -> String {
    let text = match value {
        ValueRef::Integer(number) => return number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(_) | ValueRef::Null | ValueRef::Real(_) => String::new(),
    };
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(csv(ValueRef::Text(text.as_bytes())), expected, "{text}");
        }
        assert_eq!((csv(ValueRef::Integer(-5)), csv(ValueRef::Null)), ("-5".to_owned(), String::new()));
    }
}
