//! The audit record, and its rows.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::database::{self, Row, Statement, Value};
use crate::error::{Error, Limit};

/// Longest audit record: all its texts together.
pub const AUDIT_ENTRY_BYTES_MAX: usize = 256 * 1024;
/// Longest decision id.
pub const DECISION_ID_BYTES_MAX: usize = 128;

/// One decision about a verified token. Never a token, a key or a credential (I6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditRecord {
    pub decision_id: String,
    pub decided_at_ms: u64,
    /// `issued` or `refused`.
    pub outcome: String,
    pub slug: String,
    pub bundle_digest: String,
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
    pub cedar_request: String,
    pub issuer_name: String,
    pub subject: String,
    pub subject_jti: String,
    pub subject_digest: String,
    pub audience: String,
    pub scopes: Vec<String>,
    pub kid: String,
    pub expires_at: u64,
    /// Name and duration in microseconds of each step.
    pub timings: Vec<(String, u64)>,
    /// Of an issued token: the generation of the key that signed it.
    pub generation: Option<Generation>,
}

/// A number that only grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Whose generations these are.
    pub of: String,
    pub number: u64,
}

/// Longest name of whose generations these are.
pub const GENERATION_OF_BYTES_MAX: usize = 1024;

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    Written,
    /// A higher generation was recorded before; nothing was written.
    Superseded,
}

/// Columns of a row, in the order of [`AuditRow`].
const INSERT: &str = "INSERT INTO audit (decision_id, decided_at_ms, outcome, slug, bundle_digest, \
    determining_rules, erring_rules, cedar_request, issuer_name, subject, subject_jti, subject_digest, \
    audience, scopes, kid, expires_at, timings, generation_of, generation) SELECT * FROM (VALUES ";
const PLACEHOLDERS: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
/// What is of a generation below the highest is not written.
const INSERT_TAIL: &str = ") WHERE column19 IS NULL OR column19 >= \
    coalesce((SELECT highest FROM generations WHERE name = column18), 0) RETURNING decision_id";
const COLUMNS: usize = 19;
const GENERATION_GET: &str = "SELECT highest FROM generations WHERE name = ?1";

/// A record within the limits, as column values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuditRow([Value; COLUMNS]);

impl TryFrom<AuditRecord> for AuditRow {
    type Error = Error;

    fn try_from(record: AuditRecord) -> Result<Self, Error> {
        if !(1..=DECISION_ID_BYTES_MAX).contains(&record.decision_id.len()) {
            return Err(Error::Invalid(Limit::DecisionId));
        }
        if !matches!(record.outcome.as_str(), "issued" | "refused") {
            return Err(Error::Invalid(Limit::Outcome));
        }
        let (generation_of, generation) = match record.generation {
            None => (Value::Null, Value::Null),
            Some(Generation { of, number }) => {
                if !(1..=GENERATION_OF_BYTES_MAX).contains(&of.len()) {
                    return Err(Error::Invalid(Limit::GenerationOf));
                }
                (Value::Text(of), number.try_into()?)
            }
        };
        let timings = record
            .timings
            .iter()
            .map(|(step, microseconds)| serde_json::json!([step, microseconds]));
        let row = Self([
            Value::Text(record.decision_id),
            record.decided_at_ms.try_into()?,
            Value::Text(record.outcome),
            Value::Text(record.slug),
            Value::Text(record.bundle_digest),
            json_list(record.determining_rules),
            json_list(record.erring_rules),
            Value::Text(record.cedar_request),
            Value::Text(record.issuer_name),
            Value::Text(record.subject),
            Value::Text(record.subject_jti),
            Value::Text(record.subject_digest),
            Value::Text(record.audience),
            json_list(record.scopes),
            Value::Text(record.kid),
            record.expires_at.try_into()?,
            Value::Text(serde_json::Value::Array(timings.collect()).to_string()),
            generation_of,
            generation,
        ]);
        if row.bytes() > AUDIT_ENTRY_BYTES_MAX {
            return Err(Error::Invalid(Limit::AuditEntry));
        }
        Ok(row)
    }
}

impl AuditRow {
    pub(crate) fn decision_id(&self) -> String {
        match &self.0 {
            [Value::Text(id), ..] => id.clone(),
            _ => String::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.0
            .iter()
            .map(|value| {
                if let Value::Text(text) = value {
                    text.len()
                } else {
                    0
                }
            })
            .sum()
    }
}

/// One statement that appends all `rows`.
pub(crate) fn insert(rows: Vec<AuditRow>) -> Statement {
    let values = vec![PLACEHOLDERS; rows.len()].join(", ");
    let sql = format!("{INSERT}{values}{INSERT_TAIL}");
    let parameters = rows.into_iter().flat_map(|row| row.0).collect();
    Statement {
        sql: Cow::Owned(sql),
        parameters,
    }
}

pub(crate) fn generation_get(of: &str) -> Statement {
    Statement::new(GENERATION_GET, [of.into()])
}

/// Which of the records `ids` were written, given what [`insert`] answered.
pub(crate) fn recorded(ids: &[String], answer: Vec<Row>) -> Result<Vec<Recorded>, Error> {
    let mut written = BTreeSet::new();
    for mut row in answer {
        written.insert(database::text(&mut row, 0)?);
    }
    let verdict = |id: &String| match written.contains(id) {
        true => Recorded::Written,
        false => Recorded::Superseded,
    };
    Ok(ids.iter().map(verdict).collect())
}

fn json_list(items: Vec<String>) -> Value {
    Value::Text(serde_json::Value::from(items).to_string())
}
