//! Recording on PostgreSQL: one statement writes all tables, and answers for each record.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::json;
use crate::audit_row::{AuditRow, Claim, Counted, REFUSALS_PER_ISSUER_MAX, REFUSALS_PER_MINUTE_MAX, name};
use crate::database::{self, Dialect, Row, Statement, Value};
use crate::error::{Cause, Error};
use crate::revocation_rows::is_revoked;
use vouchsafe_types::Recorded;

/// The columns of a record, in the order of [`AuditRow`], and their types.
pub(crate) const COLUMNS: [(&str, &str); crate::audit_row::COLUMNS] = [
    ("decision_id", "text"),
    ("decided_at_ms", "bigint"),
    ("outcome", "text"),
    ("slug", "text"),
    ("bundle_digest", "text"),
    ("determining_rules", "text"),
    ("erring_rules", "text"),
    ("cedar_request", "text"),
    ("issuer_name", "text"),
    ("subject", "text"),
    ("subject_jti", "text"),
    ("subject_digest", "text"),
    ("audience", "text"),
    ("scopes", "text"),
    ("kid", "text"),
    ("expires_at", "bigint"),
    ("timings", "text"),
    ("generation_of", "text"),
    ("generation", "bigint"),
    ("actors", "text"),
];
/// The columns of [`AuditRow::evidence`] and [`AuditRow::bindings`], and their types.
const EVIDENCE: [(&str, &str); 6] = [
    ("salt", "text"),
    ("token_digest", "text"),
    ("leaf", "text"),
    ("jkt", "text"),
    ("status_list", "text"),
    ("status_index", "bigint"),
];
/// The columns of [`is_revoked`].
const OF_TOKEN: [&str; 8] = [
    "i.decision_id",
    "i.decided_at_ms",
    "i.bundle_digest",
    "i.issuer_name",
    "i.subject",
    "i.audience",
    "i.kid",
    "i.actors",
];
/// Locks the generations of the records, so that none is raised before this statement is committed. A row that another
/// statement is raising is read again once that is committed.
const HIGHEST: &str = "SELECT name, highest FROM generations \
    WHERE name IN (SELECT generation_of FROM input) ORDER BY name FOR SHARE";
/// Locks the number of revocations, likewise. The revocations themselves are not read again, so if their number is no
/// longer the one that this statement sees, its view of them is stale.
const REVOCATIONS: &str = "SELECT value FROM meta \
    WHERE name = 'revocations' AND EXISTS (SELECT 1 FROM input WHERE outcome = 'issued') FOR SHARE";
/// A generation is compared for equality, because raising it needs an exclusive lock: see [`raise`].
const VERDICT: &str = "CASE WHEN i.generation > h.highest OR i.generation IS NOT NULL AND h.highest IS NULL \
        THEN 'raise' \
    WHEN i.generation < h.highest THEN 'superseded' \
    WHEN i.outcome = 'issued' AND (SELECT value FROM revoking) IS DISTINCT FROM \
        (SELECT value FROM meta WHERE name = 'revocations') THEN 'stale'";
const OF_SUBJECT: &str = "coalesce((SELECT r.count FROM refusals AS r WHERE r.minute = i.at_ms / 60000 \
    AND r.issuer_name = i.issuer_name AND r.subject = i.subject AND r.refused = i.refused), 0)";
const OF_ISSUER: &str = ")) FROM refusals AS r WHERE r.minute = i.at_ms / 60000 \
    AND r.issuer_name = i.issuer_name AND r.refused = i.refused), 0)";
const COUNTED_BY_ISSUER: &str = "'many ' || i.refused || ' ' || (i.at_ms / 60000) || ' ' || i.issuer_name";
const COUNTED_BY_SUBJECT: &str =
    "'over ' || i.refused || ' ' || (i.at_ms / 60000) || ' ' || i.issuer_name || ' ' || i.subject";
const COUNTED_BY_KEY: &str = "least(3, 1 + (SELECT count(*) FROM repeats WHERE counted_as IN \
    ('1 ' || i.refused || ' ' || i.refused_key, '2 ' || i.refused || ' ' || i.refused_key, \
    '3 ' || i.refused || ' ' || i.refused_key))) || ' ' || i.refused || ' ' || i.refused_key";
const COUNT: &str = "INSERT INTO repeats (counted_as, decision_id, repeats, last_at_ms) \
    SELECT counted_as, decision_id, 0, at_ms FROM judged \
    WHERE verdict = 'write' AND counted_as IS NOT NULL ORDER BY counted_as \
    ON CONFLICT (counted_as) DO UPDATE SET repeats = repeats.repeats + 1, last_at_ms = excluded.last_at_ms, \
        last_decision_id = excluded.decision_id \
    RETURNING counted_as, decision_id";
/// Refusals over the limits are not tallied, because the tally is what the limits compare. The order is that in which
/// all statements lock rows.
const TALLY: &str = "INSERT INTO refusals (minute, issuer_name, subject, refused, count) \
    SELECT j.at_ms / 60000, j.issuer_name, j.subject, j.refused, 1 FROM judged AS j JOIN counting AS c USING (counted_as) \
    WHERE j.verdict = 'write' AND (c.decision_id = j.decision_id \
        OR NOT (c.counted_as LIKE 'many %' OR c.counted_as LIKE 'over many %')) \
    ORDER BY 1, 2, 3, 4 \
    ON CONFLICT (minute, issuer_name, subject, refused) DO UPDATE SET count = refusals.count + 1";

/// The statement that judges all `rows`, of which no two [`AuditRow::may_count_with`] each other, and writes or counts
/// those that nothing opposes.
pub(crate) fn insert(rows: &[AuditRow]) -> Statement {
    let columns = COLUMNS.map(|(name, _)| name).join(", ");
    let typed = COLUMNS.map(|(name, kind)| format!("{name} {kind}")).join(", ");
    let evidence = EVIDENCE.map(|(name, _)| name).join(", ");
    let evidence_typed = EVIDENCE.map(|(name, kind)| format!("{name} {kind}")).join(", ");
    let of_subject = format!("{OF_SUBJECT} >= {REFUSALS_PER_MINUTE_MAX}");
    let of_issuer = format!(
        "coalesce((SELECT sum(least(r.count, {REFUSALS_PER_MINUTE_MAX}{OF_ISSUER} >= {REFUSALS_PER_ISSUER_MAX}"
    );
    let counted_as = format!(
        "CASE WHEN i.refused IS NULL THEN NULL \
         WHEN {of_subject} THEN CASE WHEN {of_issuer} THEN 'over ' || {COUNTED_BY_ISSUER} ELSE {COUNTED_BY_SUBJECT} END \
         WHEN {of_issuer} THEN {COUNTED_BY_ISSUER} ELSE {COUNTED_BY_KEY} END"
    );
    let revoked = is_revoked(Dialect::Postgres, OF_TOKEN);
    let sql = format!(
        "WITH input AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::text::jsonb) \
             AS r({typed}, {evidence_typed}, refused text, refused_key text, at_ms bigint)), \
         highest AS MATERIALIZED ({HIGHEST}), revoking AS MATERIALIZED ({REVOCATIONS}), \
         judged AS MATERIALIZED (SELECT i.*, {VERDICT} WHEN i.outcome = 'issued' AND {revoked} THEN 'revoked' \
             ELSE 'write' END AS verdict, {counted_as} AS counted_as \
             FROM input AS i LEFT JOIN highest AS h ON h.name = i.generation_of), \
         counting AS ({COUNT}), tally AS ({TALLY}), \
         written AS (INSERT INTO audit ({columns}, {evidence}, refused) SELECT {columns}, {evidence}, refused FROM judged AS j \
             WHERE verdict = 'write' AND (counted_as IS NULL OR EXISTS \
                 (SELECT 1 FROM counting AS c WHERE c.counted_as = j.counted_as AND c.decision_id = j.decision_id)) \
             RETURNING decision_id, leaf), \
         pending AS (INSERT INTO log_pending (decision_id, hash) SELECT decision_id, leaf FROM written) \
         SELECT j.decision_id, j.verdict, coalesce(c.decision_id, j.decision_id), coalesce(j.counted_as, '') \
         FROM judged AS j LEFT JOIN counting AS c USING (counted_as)"
    );
    Statement { sql: Cow::Owned(sql), parameters: vec![json::rows(rows.iter().map(object))] }
}

fn object(row: &AuditRow) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    for ((name, _), value) in COLUMNS.iter().zip(&row.columns) {
        object.insert((*name).to_owned(), json::value(value.clone()));
    }
    for ((name, _), value) in EVIDENCE.iter().zip(row.evidence.iter().chain(&row.bindings)) {
        object.insert((*name).to_owned(), json::value(value.clone()));
    }
    if let Some(Counted { refused, .. }) = &row.counted {
        object.insert("refused".to_owned(), name(refused.kind).into());
        object.insert("refused_key".to_owned(), json::text(refused.key.clone()));
        object.insert("at_ms".to_owned(), row.at.0.into());
    }
    object.into()
}

/// What [`insert`] answers for a record.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Recorded(Recorded),
    /// Its generation is higher than any recorded one, which must be raised first.
    Raise,
    /// A revocation was added meanwhile, so it must be judged again.
    Stale,
}

/// The verdicts on the records `claims`.
pub(crate) fn verdicts(claims: &[Claim], answer: Vec<Row>) -> Result<Vec<Verdict>, Error> {
    let unexpected = || Error::Unavailable(Cause::UnexpectedRow);
    let mut rows = BTreeMap::new();
    for mut row in answer {
        rows.insert(database::text(&mut row, 0)?, row);
    }
    let verdict = |claim: &Claim| {
        let mut row = rows.remove(claim.decision_id()).ok_or_else(unexpected)?;
        Ok(match database::text(&mut row, 1)?.as_str() {
            "write" => {
                let decision_id = database::text(&mut row, 2)?;
                Verdict::Recorded(claim.recorded(decision_id, &database::text(&mut row, 3)?))
            }
            "raise" => Verdict::Raise,
            "revoked" => Verdict::Recorded(Recorded::Revoked),
            "stale" => Verdict::Stale,
            "superseded" => Verdict::Recorded(Recorded::Superseded),
            _ => return Err(unexpected()),
        })
    };
    claims.iter().map(verdict).collect()
}

const RAISE: &str = "INSERT INTO generations (name, highest) SELECT name, max(highest) \
    FROM jsonb_to_recordset($1::text::jsonb) AS r(name text, highest bigint) GROUP BY name ORDER BY name \
    ON CONFLICT (name) DO UPDATE SET highest = excluded.highest WHERE generations.highest < excluded.highest RETURNING 1";

/// Raises the highest generations to those of `rows`. A separate statement, which a new generation needs once: if each
/// record updated this row, all records would wait for one another.
pub(crate) fn raise<'a>(rows: impl Iterator<Item = &'a AuditRow>) -> Statement {
    let generation = |(of, number): (&Value, &Value)| serde_json::json!({ "name": json::value(of.clone()), "highest": json::value(number.clone()) });
    Statement::new(RAISE, [json::rows(rows.filter_map(AuditRow::generation).map(generation))])
}
