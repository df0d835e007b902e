//! Everything that is revoked, for verifiers that don't ask the broker about each token.
//!
//! What a token doesn't show can't be a condition of theirs. Of the bundle of a revocation remains its time: every token
//! of that bundle was issued until then.

use std::borrow::Cow;

use crate::continuity::ISSUER_AHEAD_SECONDS_MAX;
use crate::database::{self, Database, Dialect, Row, Statement, Value};
use crate::error::{Cause, Error};
use crate::revocation_rows::{REVOCATIONS_MAX, is_revoked, optional_number, optional_text};
use crate::store::Store;
use crate::time::{GAP_SECONDS, UnixMilliseconds};
use vouchsafe_types::{RevocationList, RevocationRule};

/// Most single tokens in a list.
pub const LISTED_TOKENS_MAX: usize = 8192;
/// If there are more: most of one workload and audience. With more than these, all tokens of the workload up to the latest
/// are revoked, so that no workload can fill the list. If there are still too many, there is no list, and verifiers that
/// follow it accept nothing.
pub const LISTED_TOKENS_PER_WORKLOAD_MAX: usize = 8;
/// The columns of [`is_revoked`].
pub(crate) const OF_TOKEN: [&str; 8] = [
    "a.decision_id",
    "a.decided_at_ms",
    "a.bundle_digest",
    "a.issuer_name",
    "a.subject",
    "a.audience",
    "a.kid",
    "a.actors",
];
/// Most rows of the statement: revocations, and workloads with single tokens.
const ROWS_MAX: u64 = REVOCATIONS_MAX + LISTED_TOKENS_MAX as u64;
/// How far the clock of another host may be ahead. No token of a bundle was issued later than that after its revocation.
const HOST_AHEAD_SECONDS_MAX: u64 = 30;

/// When the store began to know what is revoked, and the number of the latest operation; null while it may have lost some,
/// as for single use.
const HEAD_SQLITE: &str = "(SELECT value FROM meta WHERE name = 'created_at' \
    AND coalesce((SELECT value FROM meta WHERE name = 'alive_at'), $1) >= $1)";
/// The mark of a new incarnation is ahead, because of the clocks of issuers. Tokens have the time of a broker.
const HEAD_POSTGRES: &str = "(SELECT created_at - $1 FROM mark WHERE incarnation = (SELECT incarnation()) \
    AND (alive_at IS NULL OR alive_at >= clock_ms() / 1000 - $2))";

impl<D: Database> Store<D> {
    /// Everything that is revoked at `now`. The result is of one statement, hence of one state of the database.
    ///
    /// # Errors
    /// [`Cause::TooManyRevoked`] if that is too much for one list; [`Cause::NotInUse`] while revocations may be lost.
    pub async fn revocation_list(&self, now: UnixMilliseconds) -> Result<RevocationList, Error> {
        let whole = self.run(statement(D::DIALECT, LISTED_TOKENS_MAX, now.seconds())?).await?;
        match list(whole) {
            Err(Error::Unavailable(Cause::TooManyRevoked)) => {
                list(self.run(statement(D::DIALECT, LISTED_TOKENS_PER_WORKLOAD_MAX, now.seconds())?).await?)
            }
            outcome => outcome,
        }
    }
}

/// The expression for since when the store knows what is revoked, with its parameters.
pub(crate) fn began_at(dialect: Dialect, now_seconds: u64) -> Result<(&'static str, Vec<Value>), Error> {
    Ok(match dialect {
        Dialect::Sqlite => (HEAD_SQLITE, vec![now_seconds.saturating_sub(GAP_SECONDS).try_into()?]),
        Dialect::Postgres => (HEAD_POSTGRES, vec![ISSUER_AHEAD_SECONDS_MAX.try_into()?, GAP_SECONDS.try_into()?]),
    })
}

fn statement(dialect: Dialect, tokens_per_workload_max: usize, now_seconds: u64) -> Result<Statement, Error> {
    let now: Value = now_seconds.try_into()?;
    let (began_at, mut parameters) = began_at(dialect, now_seconds)?;
    let joined = match dialect {
        Dialect::Sqlite => "group_concat",
        Dialect::Postgres => "string_agg",
    };
    parameters.push(now);
    let now = parameters.len();
    let limit = ROWS_MAX.saturating_add(2);
    // A token names its actors otherwise than a revocation does, so those of a revoked actor are listed one by one.
    let revoked = is_revoked(dialect, OF_TOKEN);
    let sql = format!(
        "SELECT 0, CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS TEXT), CAST(NULL AS TEXT), \
             {began_at}, (SELECT max(seq) FROM operations) \
         UNION ALL SELECT 1, CAST(NULL AS TEXT), issuer_name, subject, audience, kid, since, \
             CASE WHEN bundle_digest IS NULL OR cutoff < created_at + {HOST_AHEAD_SECONDS_MAX} THEN cutoff \
                 ELSE created_at + {HOST_AHEAD_SECONDS_MAX} END \
             FROM revocations WHERE jti IS NULL AND (keep_until IS NULL OR keep_until >= ${now}) \
         UNION ALL SELECT 1, CASE WHEN count(*) <= {tokens_per_workload_max} THEN {joined}(r.jti, ' ') END, \
             a.issuer_name, a.subject, a.audience, CAST(NULL AS TEXT), CAST(NULL AS BIGINT), \
             max(a.decided_at_ms) / 1000 \
             FROM revocations AS r JOIN audit AS a ON a.decision_id = r.jti WHERE r.keep_until >= ${now} \
             GROUP BY a.issuer_name, a.subject, a.audience \
         UNION ALL SELECT 1, CASE WHEN count(*) <= {tokens_per_workload_max} THEN {joined}(a.decision_id, ' ') END, \
             a.issuer_name, a.subject, a.audience, CAST(NULL AS TEXT), CAST(NULL AS BIGINT), \
             max(a.decided_at_ms) / 1000 \
             FROM audit AS a WHERE a.actors IS NOT NULL AND a.expires_at > ${now} AND a.outcome = 'issued' AND {revoked} \
             GROUP BY a.issuer_name, a.subject, a.audience \
         LIMIT {limit}"
    );
    Ok(Statement { sql: Cow::Owned(sql), parameters })
}

fn list(rows: Vec<Row>) -> Result<RevocationList, Error> {
    // The head is one more.
    if rows.len() as u64 > ROWS_MAX.saturating_add(1) {
        return Err(Error::Unavailable(Cause::TooManyRevoked));
    }
    let (mut list, mut has_head) = (RevocationList::default(), false);
    for mut row in rows {
        if database::number(&row, 0)? == 0 {
            list.began_at = optional_number(&row, 6)?.ok_or(Error::Unavailable(Cause::NotInUse))?;
            list.sequence = optional_number(&row, 7)?.unwrap_or(0);
            has_head = true;
            continue;
        }
        match optional_text(&mut row, 1)? {
            Some(jtis) => list.tokens.extend(jtis.split(' ').map(str::to_owned)),
            None => list.rules.push(rule(row)?),
        }
    }
    if list.tokens.len() > LISTED_TOKENS_MAX {
        return Err(Error::Unavailable(Cause::TooManyRevoked));
    }
    has_head.then_some(list).ok_or(Error::Unavailable(Cause::UnexpectedRow))
}

fn rule(mut row: Row) -> Result<RevocationRule, Error> {
    Ok(RevocationRule {
        issuer_name: optional_text(&mut row, 2)?,
        subject: optional_text(&mut row, 3)?,
        audience: optional_text(&mut row, 4)?,
        kid: optional_text(&mut row, 5)?,
        since: optional_number(&row, 6)?,
        until: optional_number(&row, 7)?,
    })
}
