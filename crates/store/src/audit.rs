//! The audit record, and its rows.

use std::borrow::Cow;

use crate::database::{Statement, Value};
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
}

/// Columns of a row, in the order of [`AuditRow`].
const INSERT: &str = "INSERT INTO audit (decision_id, decided_at_ms, outcome, slug, bundle_digest, \
    determining_rules, erring_rules, cedar_request, issuer_name, subject, subject_jti, subject_digest, \
    audience, scopes, kid, expires_at, timings) VALUES ";
const PLACEHOLDERS: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const COLUMNS: usize = 17;

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
        ]);
        if row.bytes() > AUDIT_ENTRY_BYTES_MAX {
            return Err(Error::Invalid(Limit::AuditEntry));
        }
        Ok(row)
    }
}

impl AuditRow {
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
    let sql = format!("{INSERT}{}", vec![PLACEHOLDERS; rows.len()].join(", "));
    let parameters = rows.into_iter().flat_map(|row| row.0).collect();
    Statement {
        sql: Cow::Owned(sql),
        parameters,
    }
}

fn json_list(items: Vec<String>) -> Value {
    Value::Text(serde_json::Value::from(items).to_string())
}
