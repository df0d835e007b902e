//! The statements of revocations, and their rows.

use std::borrow::Cow;

use crate::database::{self, Dialect, Row, Statement, Value};
use crate::error::{Cause, Error};
use vouchsafe_types::{
    Affected, AffectedWorkload, Attribution, IssuedTokens, Lifted, Revocation, RevocationTarget, TokenFilter,
};

/// Longest field of a filter, and longest reason, in bytes, inclusive.
pub const FILTER_BYTES_MAX: usize = 2048;
/// Most revocations, other than those of single tokens, that can be kept at once: each issued token is compared with all.
pub const REVOCATIONS_MAX: u64 = 1000;
/// Most tokens of one [`crate::Store::active`].
pub const TOKENS_MAX: usize = 2;
/// Most workloads that [`crate::Store::count_revoked`] lists.
pub const WORKLOADS_MAX: u64 = 50;
/// Most of the latest decisions that [`crate::Store::count_revoked`] reads: meanwhile, the connection does nothing else.
pub const DECISIONS_COUNTED_MAX: u64 = 100_000;
/// The longest life of any token, in seconds: the longest signing epoch. For that long after the last token that it can
/// match was issued, a revocation is kept.
pub const TOKEN_SECONDS_MAX: u64 = 604_800;

/// The columns of a revocation, in the order of [`revocation`].
const COLUMNS: &str = "id, jti, issuer_name, subject, audience, bundle_digest, kid, since, cutoff, keep_until, \
    created_at, actor, actor_decision_id, reason, lifted_at, lifted_by, lifted_by_decision_id, lift_reason";
const INSERT: &str = "INSERT INTO revocations (id, jti, issuer_name, subject, audience, bundle_digest, kid, since, \
    cutoff, keep_until, created_at, actor, actor_decision_id, reason) SELECT \
    $1, $2, $3, $4, $5, $6, $7, $8, $9, ";
/// Returns the row with this id, whether new or not.
const OR_EXISTING: &str = "ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING ";
/// Ends a block, without effect on the tokens that it already revoked; a lifted one is returned unchanged.
const LIFT: &str = "UPDATE revocations SET \
    cutoff = coalesce(cutoff, CASE WHEN created_at > $1 THEN created_at ELSE $1 END), \
    keep_until = coalesce(keep_until, (CASE WHEN created_at > $1 THEN created_at ELSE $1 END) + $2), \
    lifted_at = coalesce(lifted_at, $1), lifted_by = coalesce(lifted_by, $3), \
    lifted_by_decision_id = coalesce(lifted_by_decision_id, $4), lift_reason = coalesce(lift_reason, $5) \
    WHERE id = $6 AND (keep_until IS NULL OR lifted_at IS NOT NULL) RETURNING ";
const BEFORE_COUNTED: &str = "SELECT decided_at_ms FROM audit \
    WHERE seq <= (SELECT max(seq) FROM audit) - $1 ORDER BY seq DESC LIMIT 1";
const COUNT: &str = "SELECT issuer_name, subject, audience, count(*), max(expires_at), \
    CAST(sum(count(*)) OVER () AS BIGINT), max(max(expires_at)) OVER () FROM audit \
    WHERE seq > (SELECT max(seq) FROM audit) - $1 AND outcome = 'issued' AND expires_at > $2 \
    AND (CAST($3 AS TEXT) IS NULL OR decision_id = $3) AND ((CAST($4 AS TEXT) IS NULL OR issuer_name = $4) \
    AND (CAST($5 AS TEXT) IS NULL OR subject = $5) OR ";
const COUNT_TAIL: &str = ") AND (CAST($6 AS TEXT) IS NULL OR audience = $6) \
    AND (CAST($7 AS TEXT) IS NULL OR bundle_digest = $7) AND (CAST($8 AS TEXT) IS NULL OR kid = $8) \
    AND (CAST($9 AS BIGINT) IS NULL OR decided_at_ms / 1000 >= $9) \
    AND (CAST($10 AS BIGINT) IS NULL OR decided_at_ms / 1000 <= $10) \
    GROUP BY issuer_name, subject, audience ORDER BY count(*) DESC, issuer_name, subject, audience LIMIT $11";

/// Whether a revocation matches the token whose `jti`, time of issue in milliseconds, bundle digest, issuer name, subject,
/// audience, `kid` and actors are in these columns.
///
/// The `iat` of a token is the time of its decision. A revocation of a workload matches what it does for others too.
pub(crate) fn is_revoked(
    dialect: Dialect,
    [jti, at_ms, bundle_digest, issuer_name, subject, audience, kid, actors]: [&str; 8],
) -> String {
    let acts = acts(dialect, actors, "r.issuer_name", "r.subject");
    format!(
        "EXISTS (SELECT 1 FROM revocations AS r WHERE (r.jti IS NULL OR r.jti = {jti}) \
         AND (r.since IS NULL OR r.since <= {at_ms} / 1000) AND (r.cutoff IS NULL OR r.cutoff >= {at_ms} / 1000) \
         AND (r.bundle_digest IS NULL OR r.bundle_digest = {bundle_digest}) \
         AND ((r.issuer_name IS NULL OR r.issuer_name = {issuer_name}) \
         AND (r.subject IS NULL OR r.subject = {subject}) OR {acts}) \
         AND (r.audience IS NULL OR r.audience = {audience}) AND (r.kid IS NULL OR r.kid = {kid}))"
    )
}

/// Whether one of `actors`, pairs of issuer and subject as JSON, is of `issuer` and is `subject`; NULL matches any.
fn acts(dialect: Dialect, actors: &str, issuer: &str, subject: &str) -> String {
    let (each, first, second) = match dialect {
        Dialect::Postgres => (format!("jsonb_array_elements({actors}::jsonb) AS j"), "j ->> 0", "j ->> 1"),
        Dialect::Sqlite => {
            (format!("json_each({actors}) AS j"), "json_extract(j.value, '$[0]')", "json_extract(j.value, '$[1]')")
        }
    };
    format!(
        "({actors} IS NOT NULL AND EXISTS (SELECT 1 FROM {each} \
         WHERE ({issuer} IS NULL OR {first} = {issuer}) AND ({subject} IS NULL OR {second} = {subject})))"
    )
}

/// Adds a revocation, or returns the one with the same id. Of a single token only if it is live, of others only if there
/// are not too many.
pub(crate) fn add(id: &str, target: &RevocationTarget, by: Attribution, now_seconds: u64) -> Result<Statement, Error> {
    let now: Value = now_seconds.try_into()?;
    let mut parameters = vec![Value::Text(id.to_owned())];
    parameters.extend(condition(target)?);
    let (cutoff, keep_until) = match target {
        RevocationTarget::Blocked(_) | RevocationTarget::Token(_) => (Value::Null, Value::Null),
        RevocationTarget::Issued(IssuedTokens { until, .. }) => {
            let cutoff = until.unwrap_or(now_seconds);
            (cutoff.try_into()?, cutoff.max(now_seconds).saturating_add(TOKEN_SECONDS_MAX).try_into()?)
        }
    };
    parameters.extend([cutoff, keep_until, now]);
    parameters.extend([by.actor, by.decision_id, by.reason].map(Value::Text));
    let source = match target {
        RevocationTarget::Token(_) => "coalesce($10, expires_at), $11, $12, $13, $14 FROM audit \
            WHERE decision_id = $2 AND outcome = 'issued' AND expires_at > $11 "
            .to_owned(),
        RevocationTarget::Blocked(_) | RevocationTarget::Issued(_) => format!(
            "$10, $11, $12, $13, $14 WHERE EXISTS (SELECT 1 FROM revocations WHERE id = $1) \
             OR (SELECT count(*) FROM revocations WHERE jti IS NULL) < {REVOCATIONS_MAX} "
        ),
    };
    let sql = Cow::Owned(format!("{INSERT}{source}{OR_EXISTING}{COLUMNS}"));
    Ok(Statement { sql, parameters })
}

/// The values of `jti`, `issuer_name`, `subject`, `audience`, `bundle_digest`, `kid` and `since`.
fn condition(target: &RevocationTarget) -> Result<Vec<Value>, Error> {
    let none = TokenFilter::default();
    let (jti, filter, since) = match target {
        RevocationTarget::Blocked(filter) => (None, filter, None),
        RevocationTarget::Issued(IssuedTokens { filter, since, .. }) => (None, filter, *since),
        RevocationTarget::Token(jti) => (Some(jti), &none, None),
    };
    let TokenFilter { issuer_name, subject, audience, bundle_digest, kid } = filter;
    let texts = [jti, issuer_name.as_ref(), subject.as_ref(), audience.as_ref(), bundle_digest.as_ref(), kid.as_ref()];
    let mut values: Vec<Value> =
        texts.into_iter().map(|text| text.map_or(Value::Null, |text| Value::Text(text.clone()))).collect();
    values.push(since.map(Value::try_from).transpose()?.unwrap_or(Value::Null));
    Ok(values)
}

/// Whether `revocation` is what a call with `target` adds.
pub(crate) fn is_for(revocation: &Revocation, target: &RevocationTarget) -> bool {
    match (&revocation.target, target) {
        (RevocationTarget::Issued(existing), RevocationTarget::Issued(asked)) => {
            // Without `until`, the time of the first call counts.
            let until = asked.until.or(existing.until);
            (&existing.filter, existing.since, existing.until) == (&asked.filter, asked.since, until)
        }
        (existing, asked) => existing == asked,
    }
}

pub(crate) fn lift(id: &str, by: Attribution, now_seconds: u64) -> Result<Statement, Error> {
    let sql = Cow::Owned(format!("{LIFT}{COLUMNS}"));
    let mut parameters = vec![now_seconds.try_into()?, TOKEN_SECONDS_MAX.try_into()?];
    parameters.extend([by.actor, by.decision_id, by.reason, id.to_owned()].map(Value::Text));
    Ok(Statement { sql, parameters })
}

pub(crate) fn list(now_seconds: u64) -> Result<Statement, Error> {
    let sql = Cow::Owned(format!(
        "SELECT {COLUMNS} FROM revocations WHERE jti IS NULL AND (keep_until IS NULL OR keep_until >= $1) ORDER BY seq"
    ));
    Ok(Statement { sql, parameters: vec![now_seconds.try_into()?] })
}

/// Selects the time of the latest decision that [`count`] leaves out.
pub(crate) fn before_counted() -> Statement {
    Statement::new(BEFORE_COUNTED, [limit(DECISIONS_COUNTED_MAX)])
}

pub(crate) fn count(dialect: Dialect, target: &RevocationTarget, now_seconds: u64) -> Result<Statement, Error> {
    let mut parameters = vec![limit(DECISIONS_COUNTED_MAX), now_seconds.try_into()?];
    parameters.extend(condition(target)?);
    let until = match target {
        RevocationTarget::Issued(IssuedTokens { until, .. }) => *until,
        RevocationTarget::Blocked(_) | RevocationTarget::Token(_) => None,
    };
    parameters.push(until.map(Value::try_from).transpose()?.unwrap_or(Value::Null));
    parameters.push(limit(WORKLOADS_MAX));
    let acts = acts(dialect, "actors", "CAST($4 AS TEXT)", "CAST($5 AS TEXT)");
    Ok(Statement { sql: Cow::Owned(format!("{COUNT}{acts}{COUNT_TAIL}")), parameters })
}

fn limit(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(crate) fn active(dialect: Dialect, jtis: &[String]) -> Statement {
    let placeholders: Vec<_> = (1..=jtis.len()).map(|number| format!("${number}")).collect();
    let placeholders = placeholders.join(", ");
    let columns =
        ["decision_id", "decided_at_ms", "bundle_digest", "issuer_name", "subject", "audience", "kid", "actors"];
    let columns = columns.map(|column| format!("a.{column}"));
    let revoked = is_revoked(dialect, columns.each_ref().map(String::as_str));
    let sql = format!(
        "SELECT a.decision_id FROM audit AS a \
         WHERE a.decision_id IN ({placeholders}) AND a.outcome = 'issued' AND NOT {revoked}"
    );
    Statement { sql: Cow::Owned(sql), parameters: jtis.iter().map(|jti| Value::Text(jti.clone())).collect() }
}

/// Decodes the columns of [`COLUMNS`].
pub(crate) fn revocation(mut row: Row) -> Result<Revocation, Error> {
    let row = &mut row;
    let jti = optional_text(row, 1)?;
    let filter = TokenFilter {
        issuer_name: optional_text(row, 2)?,
        subject: optional_text(row, 3)?,
        audience: optional_text(row, 4)?,
        bundle_digest: optional_text(row, 5)?,
        kid: optional_text(row, 6)?,
    };
    let (since, until, keep_until) = (optional_number(row, 7)?, optional_number(row, 8)?, optional_number(row, 9)?);
    let lifted = match optional_number(row, 14)? {
        None => None,
        Some(at) => Some(Lifted { at, by: attribution(row, 15)? }),
    };
    let target = match jti {
        Some(jti) => RevocationTarget::Token(jti),
        None if keep_until.is_none() || lifted.is_some() => RevocationTarget::Blocked(filter),
        None => RevocationTarget::Issued(IssuedTokens { filter, since, until }),
    };
    Ok(Revocation {
        id: database::text(row, 0)?,
        target,
        at: database::number(row, 10)?,
        by: attribution(row, 11)?,
        lifted,
    })
}

fn attribution(row: &mut Row, first: usize) -> Result<Attribution, Error> {
    let column = |at: usize| first.saturating_add(at);
    Ok(Attribution {
        actor: database::text(row, column(0))?,
        decision_id: database::text(row, column(1))?,
        reason: database::text(row, column(2))?,
    })
}

/// Decodes what [`count`] selects.
pub(crate) fn affected(found: Vec<Row>, complete: bool) -> Result<Affected, Error> {
    let mut affected = Affected { complete, ..Affected::default() };
    for mut row in found {
        affected.tokens = database::number(&row, 5)?;
        affected.expires_at = database::number(&row, 6)?;
        affected.workloads.push(AffectedWorkload {
            issuer_name: database::text(&mut row, 0)?,
            subject: database::text(&mut row, 1)?,
            audience: database::text(&mut row, 2)?,
            tokens: database::number(&row, 3)?,
            expires_at: database::number(&row, 4)?,
        });
    }
    Ok(affected)
}

pub(crate) fn optional_text(row: &mut Row, column: usize) -> Result<Option<String>, Error> {
    match row.get(column) {
        Some(Value::Null) => Ok(None),
        Some(_) => database::text(row, column).map(Some),
        None => Err(Error::Unavailable(Cause::UnexpectedRow)),
    }
}

pub(crate) fn optional_number(row: &Row, column: usize) -> Result<Option<u64>, Error> {
    match row.get(column) {
        Some(Value::Null) => Ok(None),
        Some(_) => database::number(row, column).map(Some),
        None => Err(Error::Unavailable(Cause::UnexpectedRow)),
    }
}
