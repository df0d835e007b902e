//! Between the contract's types, Spin's and the domain's.

use spin_sdk::sqlite;
use vouchsafe_store as domain;

use crate::bindings::exports::vouchsafe::store::state as wit;

impl From<wit::AuditRecord> for domain::AuditRecord {
    fn from(record: wit::AuditRecord) -> Self {
        Self {
            decision_id: record.decision_id,
            decided_at_ms: record.decided_at_ms,
            refused: record.refused.map(Into::into),
            slug: record.slug,
            bundle_digest: record.bundle_digest,
            determining_rules: record.determining_rules,
            erring_rules: record.erring_rules,
            cedar_request: record.cedar_request,
            issuer_name: record.issuer_name,
            subject: record.subject,
            subject_jti: record.subject_jti,
            subject_digest: record.subject_digest,
            audience: record.audience,
            scopes: record.scopes,
            kid: record.kid,
            expires_at: record.expires_at,
            timings: record.timings,
            generation: record.generation.map(|it| domain::Generation {
                of: it.of,
                number: it.number,
            }),
        }
    }
}

impl From<wit::Refused> for domain::Refused {
    fn from(refused: wit::Refused) -> Self {
        Self {
            kind: match refused.kind {
                wit::RefusedKind::Denial => domain::RefusedKind::Denial,
                wit::RefusedKind::Outage => domain::RefusedKind::Outage,
            },
            key: refused.key,
        }
    }
}

impl From<wit::Document> for domain::Document {
    fn from(document: wit::Document) -> Self {
        Self {
            body: document.body,
            keep_until: document.keep_until,
        }
    }
}

impl From<domain::Document> for wit::Document {
    fn from(document: domain::Document) -> Self {
        Self {
            body: document.body,
            keep_until: document.keep_until,
        }
    }
}

impl From<domain::Pointer> for wit::Pointer {
    fn from(pointer: domain::Pointer) -> Self {
        Self {
            value: pointer.value,
            revision: pointer.revision,
        }
    }
}

impl From<domain::Consumption> for wit::Consumption {
    fn from(consumption: domain::Consumption) -> Self {
        match consumption {
            domain::Consumption::Fresh => Self::Fresh,
            domain::Consumption::PredatesStore => Self::PredatesStore,
            domain::Consumption::Spent => Self::Spent,
        }
    }
}

impl From<domain::Recorded> for wit::Recorded {
    fn from(recorded: domain::Recorded) -> Self {
        match recorded {
            domain::Recorded::Written => Self::Written,
            domain::Recorded::Counted { decision_id } => Self::Counted(decision_id),
            domain::Recorded::Limited { decision_id, until } => {
                Self::Limited(wit::Limited { decision_id, until })
            }
            domain::Recorded::Superseded => Self::Superseded,
        }
    }
}

impl From<domain::Space> for wit::Space {
    fn from(space: domain::Space) -> Self {
        match space {
            domain::Space::Unknown => Self::Unknown,
            domain::Space::Ok => Self::Ok,
            domain::Space::Low => Self::Low,
        }
    }
}

impl From<domain::Error> for wit::Error {
    fn from(error: domain::Error) -> Self {
        match error {
            domain::Error::Invalid(limit) => Self::Invalid(limit.to_string()),
            domain::Error::Unavailable(cause) => Self::Unavailable(cause.to_string()),
        }
    }
}

/// Spin's error. Neither type is ours, so this and the next two are no `From`.
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
