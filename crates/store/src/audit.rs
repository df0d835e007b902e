//! Audit records and their rows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::database::{self, Row, Statement, Value};
use crate::error::{Error, Limit};
use crate::revocation_rows::is_revoked;
use crate::time::UnixMilliseconds;
use vouchsafe_types::{AuditRecord, Generation, Limited, Recorded, Refused, RefusedKind};

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

/// Longest name of a generation.
pub const GENERATION_OF_BYTES_MAX: usize = 1024;

/// The name of a kind in the database.
fn name(kind: RefusedKind) -> &'static str {
    match kind {
        RefusedKind::Denial => "denial",
        RefusedKind::Outage => "outage",
    }
}

/// The columns of a row, in the order of [`AuditRow`], and then the counters of a refusal.
const INSERT: &str = "INSERT INTO audit (decision_id, decided_at_ms, outcome, slug, bundle_digest, \
    determining_rules, erring_rules, cedar_request, issuer_name, subject, subject_jti, subject_digest, \
    audience, scopes, kid, expires_at, timings, generation_of, generation, refused, last_at_ms, counted_as) \
    SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, \
    column11, column12, column13, column14, column15, column16, column17, column18, column19, column20, \
    column21, CASE WHEN column20 IS NULL THEN NULL ";
/// `column23`, `column24` and `column25` are the numbers of earlier records in the same statement with the same subject, key
/// and issuer. They are needed because SQLite evaluates the SELECT for all records before it writes the first.
const OF_SUBJECT: &str = "coalesce((SELECT count FROM refusals WHERE minute = column21 / 60000 \
    AND issuer_name = column9 AND subject = column10 AND refused = column20), 0) + column23 >= ";
const OF_ISSUER: &str = "coalesce((SELECT sum(min(count, ";
const OF_ISSUER_TAIL: &str = ")) FROM refusals WHERE minute = column21 / 60000 \
    AND issuer_name = column9 AND refused = column20), 0) + column25 >= ";
const COUNTED_BY_ISSUER: &str = "'many ' || column20 || ' ' || (column21 / 60000) || ' ' || column9 ";
const COUNTED_BY_SUBJECT: &str =
    "'over ' || column20 || ' ' || (column21 / 60000) || ' ' || column9 || ' ' || column10 ";
const COUNTED_BY_KEY: &str = "ELSE min(3, 1 + column24 + (SELECT count(*) FROM audit WHERE counted_as IN \
    ('1 ' || column20 || ' ' || column22, '2 ' || column20 || ' ' || column22, '3 ' || column20 || ' ' || column22))) \
    || ' ' || column20 || ' ' || column22 END FROM (VALUES ";
const PLACEHOLDERS: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
/// The columns of [`is_revoked`].
const OF_TOKEN: [&str; 7] = ["column1", "column2", "column5", "column9", "column10", "column13", "column15"];
/// Skips records of a generation below the highest.
const OF_GENERATION: &str = "(column19 IS NULL OR column19 >= \
    coalesce((SELECT highest FROM generations WHERE name = column18), 0))";
/// Returns a row for each record that is not skipped.
const INSERT_TAIL: &str = " \
    ON CONFLICT (counted_as) WHERE counted_as IS NOT NULL DO UPDATE SET repeats = repeats + 1, \
        last_at_ms = excluded.last_at_ms, last_decision_id = excluded.decision_id \
    RETURNING decision_id, coalesce(last_decision_id, decision_id), coalesce(counted_as, '')";
/// The prefix of `counted_as` for refusals over [`REFUSALS_PER_MINUTE_MAX`]. Others begin with `many` or a digit.
const OVER: &str = "over ";
const COLUMNS: usize = 19;
const IS_SUPERSEDED: &str = "SELECT 1 FROM generations WHERE name = ?1 AND highest > ?2";
const GENERATION_GET: &str = "SELECT highest FROM generations WHERE name = ?1";

/// A checked record as column values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AuditRow {
    columns: [Value; COLUMNS],
    decision_id: String,
    /// When the store counts the refusal.
    at: UnixMilliseconds,
    counted: Option<Counted>,
}

/// The properties by which a refusal is counted.
#[derive(Debug, Clone, PartialEq)]
struct Counted {
    refused: Refused,
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
        // SQLite's integers are signed.
        i64::try_from(now.0).map_err(|_| Error::Invalid(Limit::NumberTooLarge))?;
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
        ];
        let row = Self { columns, decision_id, at: now, counted };
        if row.bytes() > AUDIT_ENTRY_BYTES_MAX {
            return Err(Error::Invalid(Limit::AuditEntry));
        }
        Ok(row)
    }

    fn minute(&self) -> u64 {
        self.at.0 / MINUTE_MS
    }

    /// The part that [`recorded`] needs.
    pub(crate) fn claim(&self) -> Claim {
        Claim { decision_id: self.decision_id.clone(), minute: self.minute() }
    }

    /// Selects a row if the record's generation is superseded; none if it has no generation.
    pub(crate) fn superseding(&self) -> Option<Statement> {
        match self.columns.as_slice() {
            [.., of @ Value::Text(_), generation] => {
                Some(Statement::new(IS_SUPERSEDED, [of.clone(), generation.clone()]))
            }
            _ => None,
        }
    }

    /// How many of the rows `before` this one have the same subject in the same minute, the same key, and the same issuer in
    /// the same minute.
    fn places(&self, before: &[Self]) -> [i64; 3] {
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

/// The statement that appends or counts all `rows`.
pub(crate) fn insert(rows: Vec<AuditRow>) -> Statement {
    let values = vec![PLACEHOLDERS; rows.len()].join(", ");
    let of_issuer = format!("{OF_ISSUER}{REFUSALS_PER_MINUTE_MAX}{OF_ISSUER_TAIL}{REFUSALS_PER_ISSUER_MAX}");
    let sql = format!(
        "{INSERT}WHEN {OF_SUBJECT}{REFUSALS_PER_MINUTE_MAX} THEN CASE WHEN {of_issuer} \
         THEN 'over ' || {COUNTED_BY_ISSUER} ELSE {COUNTED_BY_SUBJECT} END \
         WHEN {of_issuer} THEN {COUNTED_BY_ISSUER} {COUNTED_BY_KEY}{values}) \
         WHERE {OF_GENERATION} AND NOT (column3 = 'issued' AND {}){INSERT_TAIL}",
        is_revoked(OF_TOKEN)
    );
    let places: Vec<_> =
        rows.iter().enumerate().map(|(at, row)| row.places(rows.get(..at).unwrap_or_default())).collect();
    let parameters = rows.into_iter().zip(places).flat_map(|(row, [of_subject, of_key, of_issuer])| {
        let counting = match row.counted {
            None => [const { Value::Null }; 6],
            Some(Counted { refused, .. }) => [
                name(refused.kind).into(),
                Value::Integer(i64::try_from(row.at.0).unwrap_or(i64::MAX)),
                Value::Text(refused.key),
                Value::Integer(of_subject),
                Value::Integer(of_key),
                Value::Integer(of_issuer),
            ],
        };
        row.columns.into_iter().chain(counting)
    });
    Statement { sql: Cow::Owned(sql), parameters: parameters.collect() }
}

pub(crate) fn generation_get(of: &str) -> Statement {
    Statement::new(GENERATION_GET, [of.into()])
}

/// The results for the records `claims`, from the rows that [`insert`] returned; none for a record that it skipped.
pub(crate) fn recorded(claims: &[Claim], answer: Vec<Row>) -> Result<Vec<Option<Recorded>>, Error> {
    // By decision id: the row of the table and how it counts.
    let mut rows: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for mut row in answer {
        let decision_id = database::text(&mut row, 0)?;
        let of = database::text(&mut row, 1)?;
        let over = database::text(&mut row, 2)?.starts_with(OVER);
        rows.insert(of, (decision_id, over));
    }
    let verdict = |claim: &Claim| match rows.remove(&claim.decision_id) {
        None => None,
        Some((decision_id, true)) => Some(Recorded::Limited(Limited {
            decision_id,
            until: claim.minute.saturating_add(1).saturating_mul(MINUTE_SECONDS),
        })),
        Some((decision_id, false)) if decision_id == claim.decision_id => Some(Recorded::Written),
        Some((decision_id, false)) => Some(Recorded::Counted(decision_id)),
    };
    Ok(claims.iter().map(verdict).collect())
}

fn json_list(items: Vec<String>) -> Value {
    Value::Text(serde_json::Value::from(items).to_string())
}
