//! Audit records as rows, and how refusals are counted.

use crate::database::Value;
use crate::error::{Error, Limit};
use crate::leaf::Leaf;
use crate::time::UnixMilliseconds;
use vouchsafe_tlog::encode;
use vouchsafe_types::{AuditRecord, Generation, Limited, Recorded, RecordedActor, Refused, RefusedKind};

/// Longest audit record: the sum of all its strings.
pub const AUDIT_ENTRY_BYTES_MAX: usize = 256 * 1024;
/// Longest decision id.
pub const DECISION_ID_BYTES_MAX: usize = 128;
/// Longest [`vouchsafe_types::Refused::key`].
pub const REFUSED_KEY_BYTES_MAX: usize = 128;
/// Refusals of one key that are recorded in full. Each further one is counted on the last record.
pub const REFUSALS_IN_FULL_MAX: u64 = 3;
/// Most refusals of one kind per issuer, subject and minute, including counted ones. Further ones are counted on one record
/// of that minute.
pub const REFUSALS_PER_MINUTE_MAX: u64 = 60;
/// Most refusals of one kind per issuer and minute, with at most [`REFUSALS_PER_MINUTE_MAX`] per subject. Further ones are
/// counted on one record of that minute, so that an issuer's many subjects can't fill the disk.
pub const REFUSALS_PER_ISSUER_MAX: u64 = 600;
const MINUTE_MS: u64 = 60_000;
const MINUTE_SECONDS: u64 = 60;
/// The prefix of `counted_as` for refusals over [`REFUSALS_PER_MINUTE_MAX`]. Others begin with `many` or a digit.
const OVER: &str = "over ";

/// Longest name of a generation.
pub const GENERATION_OF_BYTES_MAX: usize = 1024;

/// The name of a kind in the database.
pub(crate) fn name(kind: RefusedKind) -> &'static str {
    match kind {
        RefusedKind::Denial => "denial",
        RefusedKind::Outage => "outage",
    }
}

/// Columns of a record in the database, without the counters of a refusal.
pub(crate) const COLUMNS: usize = 20;

/// A checked record as column values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuditRow {
    pub(crate) columns: [Value; COLUMNS],
    pub(crate) decision_id: String,
    /// When the store counts the refusal.
    pub(crate) at: UnixMilliseconds,
    pub(crate) counted: Option<Counted>,
    /// Salt, digest of the issued token, and leaf hash.
    pub(crate) evidence: [Value; 3],
    /// The key that the issued token is bound to, and list and index of its status.
    pub(crate) bindings: [Value; 3],
}

/// The properties by which a refusal is counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted {
    pub(crate) refused: Refused,
    issuer_name: String,
    subject: String,
}

impl Counted {
    /// Whether both count against the same subject's limit. Callers compare the minutes.
    fn has_subject_of(&self, other: &Self) -> bool {
        (self.refused.kind, &self.issuer_name, &self.subject)
            == (other.refused.kind, &other.issuer_name, &other.subject)
    }

    /// Whether both count against the same issuer's limit.
    fn has_issuer_of(&self, other: &Self) -> bool {
        (self.refused.kind, &self.issuer_name) == (other.refused.kind, &other.issuer_name)
    }
}

impl AuditRow {
    /// Checks `record`, which the store counts at `now`.
    pub(crate) fn new(record: AuditRecord, now: UnixMilliseconds) -> Result<Self, Error> {
        if !(1..=DECISION_ID_BYTES_MAX).contains(&record.decision_id.len()) {
            return Err(Error::Invalid(Limit::DecisionId));
        }
        Value::signed(now.0)?;
        let outcome = match &record.refused {
            None => "issued",
            Some(Refused { key, .. }) if (1..=REFUSED_KEY_BYTES_MAX).contains(&key.len()) => "refused",
            Some(_) => return Err(Error::Invalid(Limit::RefusedKey)),
        };
        let counted = record.refused.map(|refused| Counted {
            refused,
            issuer_name: record.issuer_name.clone(),
            subject: record.subject.clone(),
        });
        let (generation_of, generation) = match record.generation {
            None => (Value::Null, Value::Null),
            Some(Generation { of, number }) => {
                if !(1..=GENERATION_OF_BYTES_MAX).contains(&of.len()) {
                    return Err(Error::Invalid(Limit::GenerationOf));
                }
                (Value::Text(of), number.try_into()?)
            }
        };
        let timings = record.timings.iter().map(|(step, microseconds)| serde_json::json!([step, microseconds]));
        let decision_id = record.decision_id.clone();
        let columns = [
            Value::Text(record.decision_id),
            record.decided_at_ms.try_into()?,
            outcome.into(),
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
            actors(&record.actors),
        ];
        let (list, index) = record.status.map_or((Value::Null, Value::Null), |status| {
            (Value::Text(status.list), Value::Integer(i64::from(status.index)))
        });
        let bindings = [record.key_thumbprint.map_or(Value::Null, Value::Text), list, index];
        let salt = salt(record.salt);
        let token_digest = Value::Text(record.token_digest);
        let refused = counted.as_ref().map_or(Value::Null, |counted| name(counted.refused.kind).into());
        let leaf = Leaf::of(&salt, columns.iter().chain([&refused, &token_digest]).chain(&bindings))?;
        let evidence = [Value::Text(encode(&salt)), token_digest, Value::Text(leaf.text())];
        let row = Self { columns, decision_id, at: now, counted, evidence, bindings };
        if row.bytes() > AUDIT_ENTRY_BYTES_MAX {
            return Err(Error::Invalid(Limit::AuditEntry));
        }
        Ok(row)
    }

    fn minute(&self) -> u64 {
        self.at.0 / MINUTE_MS
    }

    /// The part that is needed to tell how it was recorded.
    pub(crate) fn claim(&self) -> Claim {
        Claim { decision_id: self.decision_id.clone(), minute: self.minute() }
    }

    /// The name and number of the record's generation.
    pub(crate) fn generation(&self) -> Option<(&Value, &Value)> {
        match self.columns.as_slice() {
            [.., of @ Value::Text(_), number, _actors] => Some((of, number)),
            _ => None,
        }
    }

    /// Whether both may be counted on the same record.
    pub(crate) fn may_count_with(&self, other: &Self) -> bool {
        match (&self.counted, &other.counted) {
            (Some(counted), Some(other)) => counted.refused == other.refused || counted.has_issuer_of(other),
            (Some(_) | None, _) => false,
        }
    }

    /// How many of the rows `before` this one have the same subject in the same minute, the same key, and the same issuer in
    /// the same minute.
    pub(crate) fn places(&self, before: &[Self]) -> [i64; 3] {
        let count = |alike: &dyn Fn(&Counted, &Counted) -> bool, within_minute: bool| {
            let alike = before.iter().filter(|row| {
                let same_minute = !within_minute || row.minute() == self.minute();
                let (Some(counted), Some(other)) = (&self.counted, &row.counted) else {
                    return false;
                };
                same_minute && alike(counted, other)
            });
            i64::try_from(alike.count()).unwrap_or(i64::MAX)
        };
        [
            count(&Counted::has_subject_of, true),
            count(&|counted, other| counted.refused == other.refused, false),
            count(&Counted::has_issuer_of, true),
        ]
    }

    fn bytes(&self) -> usize {
        self.columns.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 0 }).sum()
    }
}

/// A record of a batch.
#[derive(Debug)]
pub(crate) struct Claim {
    decision_id: String,
    minute: u64,
}

impl Claim {
    pub(crate) fn decision_id(&self) -> &str {
        &self.decision_id
    }

    /// What was recorded, given the record that was written or that counts this one, and how that one counts.
    pub(crate) fn recorded(&self, decision_id: String, counted_as: &str) -> Recorded {
        if counted_as.starts_with(OVER) {
            let until = self.minute.saturating_add(1).saturating_mul(MINUTE_SECONDS);
            Recorded::Limited(Limited { decision_id, until })
        } else if decision_id == self.decision_id {
            Recorded::Written
        } else {
            Recorded::Counted(decision_id)
        }
    }
}

/// Pairs of issuer and subject, which [`crate::revocation_rows::is_revoked`] reads.
fn actors(actors: &[RecordedActor]) -> Value {
    if actors.is_empty() {
        return Value::Null;
    }
    let pairs = actors.iter().map(|actor| serde_json::json!([actor.issuer_name, actor.subject]));
    Value::Text(serde_json::Value::Array(pairs.collect()).to_string())
}

fn salt((one, two, three, four): (u64, u64, u64, u64)) -> [u8; 32] {
    let mut salt = [0; 32];
    for (to, from) in salt.iter_mut().zip([one, two, three, four].iter().flat_map(|part| part.to_be_bytes())) {
        *to = from;
    }
    salt
}

fn json_list(items: Vec<String>) -> Value {
    Value::Text(serde_json::Value::from(items).to_string())
}
