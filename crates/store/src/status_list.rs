//! Status lists: which of the tokens with an index are revoked.
//!
//! A list is named by the store's creation mark and a number. So a restored copy, whose counter went back, has lists of
//! other names once it has a new mark, and no index is ever used twice.

use std::borrow::Cow;

use crate::continuity::ISSUER_AHEAD_SECONDS_MAX;
use crate::database::{self, Database, Dialect, Statement, Value};
use crate::error::{Cause, Error, Limit};
use crate::revocation_list::{OF_TOKEN, began_at};
use crate::revocation_rows::{is_revoked, optional_number};
use crate::store::{Store, within};
use crate::time::UnixMilliseconds;
use vouchsafe_types::{STATUS_LIST_INDEXES, STATUS_LIST_NAME_BYTES_MAX, StatusBlock, StatusList, is_status_list_name};

/// Indexes of a block: one write for this many tokens of an instance.
pub const STATUS_BLOCK_INDEXES: u32 = 64;
/// Indexes of a list.
const INDEXES: u64 = STATUS_LIST_INDEXES as u64;
/// Most names of [`Store::status_lists`].
pub const STATUS_LISTS_MAX: u64 = 1000;
/// For how long a token stays in its list after it expired, in seconds: verifiers' clocks differ.
const AFTER_EXPIRY_SECONDS: u64 = 60;

/// The number of the block's first index, counted over all lists, and the creation mark.
const LEASE: &str = "INSERT INTO meta (name, value) VALUES ('status_indexes', $1) \
    ON CONFLICT (name) DO UPDATE SET value = meta.value + $1 RETURNING value - $1, ";
const MARK_SQLITE: &str = "(SELECT value FROM meta WHERE name = 'created_at')";
const MARK_POSTGRES: &str = "(SELECT created_at - $2 FROM mark WHERE incarnation = (SELECT incarnation()))";
const NAMES: &str = "SELECT DISTINCT status_list FROM audit \
    WHERE status_list IS NOT NULL AND expires_at > $1 ORDER BY status_list LIMIT $2";

impl<D: Database> Store<D> {
    /// Takes a block of indexes that nobody else has.
    ///
    /// # Errors
    /// [`Cause::NotInUse`] if the store may have lost revocations.
    pub async fn lease_status(&self) -> Result<StatusBlock, Error> {
        let row = self.run(lease(D::DIALECT)?).await?.into_iter().next();
        let row = row.ok_or(Error::Unavailable(Cause::UnexpectedRow))?;
        let (number, mark) = (database::number(&row, 0)?, optional_number(&row, 1)?);
        let mark = mark.ok_or(Error::Unavailable(Cause::NotInUse))?;
        // INVARIANT: blocks divide lists, so a block is in one list.
        let (of_list, first) = (number / INDEXES, number % INDEXES);
        let first = u32::try_from(first).map_err(|_| Error::Unavailable(Cause::UnexpectedRow))?;
        Ok(StatusBlock { list: format!("{mark}-{of_list}"), first, count: STATUS_BLOCK_INDEXES })
    }

    /// The names of lists with live tokens.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn status_lists(&self, now: UnixMilliseconds) -> Result<Vec<String>, Error> {
        let parameters = [live_after(now).try_into()?, STATUS_LISTS_MAX.try_into()?];
        let rows = self.run(Statement::new(NAMES, parameters)).await?;
        rows.into_iter().map(|mut row| database::text(&mut row, 0)).collect()
    }

    /// The list `name`, of one state of the database; none if it has no live token, or is from before the store began
    /// anew.
    ///
    /// # Errors
    /// [`Cause::NotInUse`] while revocations may be lost.
    pub async fn status_list(&self, name: &str, now: UnixMilliseconds) -> Result<Option<StatusList>, Error> {
        within(name.len(), 1, STATUS_LIST_NAME_BYTES_MAX, Limit::Name)?;
        if !is_status_list_name(name) {
            return Ok(None);
        }
        let mut revoked = Vec::new();
        let (mut mark, mut is_live) = (None, false);
        for row in self.run(statement(D::DIALECT, name, now)?).await? {
            match optional_number(&row, 0)? {
                None => (mark, is_live) = (optional_number(&row, 1)?, database::number(&row, 2)? > 0),
                Some(index) => {
                    revoked.push(u32::try_from(index).map_err(|_| Error::Unavailable(Cause::UnexpectedRow))?);
                }
            }
        }
        // INVARIANT: without all revocations, there is no list, so that verifiers accept nothing.
        let mark = mark.ok_or(Error::Unavailable(Cause::NotInUse))?;
        let is_current = name.split_once('-').is_some_and(|(of, _)| of == mark.to_string());
        revoked.sort_unstable();
        Ok((is_current && is_live).then(|| StatusList { name: name.to_owned(), revoked }))
    }
}

fn live_after(now: UnixMilliseconds) -> u64 {
    now.seconds().saturating_sub(AFTER_EXPIRY_SECONDS)
}

fn lease(dialect: Dialect) -> Result<Statement, Error> {
    let mut parameters = vec![Value::Integer(i64::from(STATUS_BLOCK_INDEXES))];
    let mark = match dialect {
        Dialect::Sqlite => MARK_SQLITE,
        Dialect::Postgres => {
            parameters.push(ISSUER_AHEAD_SECONDS_MAX.try_into()?);
            MARK_POSTGRES
        }
    };
    Ok(Statement { sql: Cow::Owned(format!("{LEASE}{mark}")), parameters })
}

fn statement(dialect: Dialect, name: &str, now: UnixMilliseconds) -> Result<Statement, Error> {
    let (began_at, mut parameters) = began_at(dialect, now.seconds())?;
    parameters.extend([name.into(), live_after(now).try_into()?]);
    let (list, live_after) = (parameters.len().saturating_sub(1), parameters.len());
    let live = format!("a.status_list = ${list} AND a.expires_at > ${live_after}");
    let revoked = is_revoked(dialect, OF_TOKEN);
    let sql = format!(
        "SELECT CAST(NULL AS BIGINT), {began_at}, \
             CASE WHEN EXISTS (SELECT 1 FROM audit AS a WHERE {live}) THEN 1 ELSE 0 END \
         UNION ALL SELECT a.status_index, CAST(NULL AS BIGINT), 0 FROM audit AS a \
             WHERE {live} AND a.outcome = 'issued' AND {revoked}"
    );
    Ok(Statement { sql: Cow::Owned(sql), parameters })
}
