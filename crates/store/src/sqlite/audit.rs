//! Recording on SQLite, with triggers for what else a record writes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::audit_row::{AuditRow, Claim, Counted, REFUSALS_PER_ISSUER_MAX, REFUSALS_PER_MINUTE_MAX, name};
use crate::database::{self, Dialect, Row, Statement, Value};
use crate::error::Error;
use crate::revocation_rows::is_revoked;
use vouchsafe_types::Recorded;

/// The columns of a row, in the order of [`AuditRow`], and then the counters of a refusal.
const INSERT: &str = "INSERT INTO audit (decision_id, decided_at_ms, outcome, slug, bundle_digest, \
    determining_rules, erring_rules, cedar_request, issuer_name, subject, subject_jti, subject_digest, \
    audience, scopes, kid, expires_at, timings, generation_of, generation, actors, refused, salt, token_digest, leaf, \
    jkt, status_list, status_index, last_at_ms, counted_as) \
    SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, \
    column11, column12, column13, column14, column15, column16, column17, column18, column19, column20, \
    column21, column27, column28, column29, column30, column31, column32, column22, CASE WHEN column21 IS NULL THEN NULL ";
/// `column24`, `column25` and `column26` are the numbers of earlier records in the same statement with the same subject, key
/// and issuer. They are needed because SQLite evaluates the SELECT for all records before it writes the first.
const OF_SUBJECT: &str = "coalesce((SELECT count FROM refusals WHERE minute = column22 / 60000 \
    AND issuer_name = column9 AND subject = column10 AND refused = column21), 0) + column24 >= ";
const OF_ISSUER: &str = "coalesce((SELECT sum(min(count, ";
const OF_ISSUER_TAIL: &str = ")) FROM refusals WHERE minute = column22 / 60000 \
    AND issuer_name = column9 AND refused = column21), 0) + column26 >= ";
const COUNTED_BY_ISSUER: &str = "'many ' || column21 || ' ' || (column22 / 60000) || ' ' || column9 ";
const COUNTED_BY_SUBJECT: &str =
    "'over ' || column21 || ' ' || (column22 / 60000) || ' ' || column9 || ' ' || column10 ";
const COUNTED_BY_KEY: &str = "ELSE min(3, 1 + column25 + (SELECT count(*) FROM audit WHERE counted_as IN \
    ('1 ' || column21 || ' ' || column23, '2 ' || column21 || ' ' || column23, '3 ' || column21 || ' ' || column23))) \
    || ' ' || column21 || ' ' || column23 END FROM (VALUES ";
const PLACEHOLDERS: &str =
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
/// The columns of [`is_revoked`].
const OF_TOKEN: [&str; 8] =
    ["column1", "column2", "column5", "column9", "column10", "column13", "column15", "column20"];
/// Skips records of a generation below the highest.
const OF_GENERATION: &str = "(column19 IS NULL OR column19 >= \
    coalesce((SELECT highest FROM generations WHERE name = column18), 0))";
/// Returns a row for each record that is not skipped.
const INSERT_TAIL: &str = " \
    ON CONFLICT (counted_as) WHERE counted_as IS NOT NULL DO UPDATE SET repeats = repeats + 1, \
        last_at_ms = excluded.last_at_ms, last_decision_id = excluded.decision_id \
    RETURNING decision_id, coalesce(last_decision_id, decision_id), coalesce(counted_as, '')";
/// Selects a row if a generation is superseded.
const IS_SUPERSEDED: &str = "SELECT 1 FROM generations WHERE name = ?1 AND highest > ?2";

/// The statement that appends or counts all `rows`.
pub(crate) fn insert(rows: Vec<AuditRow>) -> Statement {
    let values = vec![PLACEHOLDERS; rows.len()].join(", ");
    let of_issuer = format!("{OF_ISSUER}{REFUSALS_PER_MINUTE_MAX}{OF_ISSUER_TAIL}{REFUSALS_PER_ISSUER_MAX}");
    let sql = format!(
        "{INSERT}WHEN {OF_SUBJECT}{REFUSALS_PER_MINUTE_MAX} THEN CASE WHEN {of_issuer} \
         THEN 'over ' || {COUNTED_BY_ISSUER} ELSE {COUNTED_BY_SUBJECT} END \
         WHEN {of_issuer} THEN {COUNTED_BY_ISSUER} {COUNTED_BY_KEY}{values}) \
         WHERE {OF_GENERATION} AND NOT (column3 = 'issued' AND {}){INSERT_TAIL}",
        is_revoked(Dialect::Sqlite, OF_TOKEN)
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
        row.columns.into_iter().chain(counting).chain(row.evidence).chain(row.bindings)
    });
    Statement { sql: Cow::Owned(sql), parameters: parameters.collect() }
}

/// The results for the records `claims`, from the rows that [`insert`] returned; none for a record that it skipped.
pub(crate) fn recorded(claims: &[Claim], answer: Vec<Row>) -> Result<Vec<Option<Recorded>>, Error> {
    // By decision id: the row of the table and how it counts.
    let mut rows: BTreeMap<String, (String, String)> = BTreeMap::new();
    for mut row in answer {
        let decision_id = database::text(&mut row, 0)?;
        rows.insert(database::text(&mut row, 1)?, (decision_id, database::text(&mut row, 2)?));
    }
    let verdict = |claim: &Claim| {
        let (decision_id, counted_as) = rows.remove(claim.decision_id())?;
        Some(claim.recorded(decision_id, &counted_as))
    };
    Ok(claims.iter().map(verdict).collect())
}

/// Selects a row if the generation `number` of the name `of` is superseded.
pub(crate) fn superseding(of: &Value, number: &Value) -> Statement {
    Statement::new(IS_SUPERSEDED, [of.clone(), number.clone()])
}
