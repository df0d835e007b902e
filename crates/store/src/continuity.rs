//! Detects stores that were restored from an older copy.
//!
//! A restored database doesn't know which single-use tokens were used after the copy was made (I4). The host therefore
//! calls [`keep_alive`] every [`ALIVE_SECONDS`], which records until when the store was in use. A store whose mark is
//! older than [`GAP_SECONDS`] was stopped for that long or is a copy. Both are treated as a copy: the creation mark is
//! renewed, and single-use tokens that were issued earlier are refused, because they may have been used.

use crate::database::{self, Database, Dialect, Statement};
use crate::error::{Cause, Error};
use crate::postgres;
use crate::sqlite::schema;
use crate::time::{GAP_SECONDS, UnixMilliseconds};

/// How often a host marks its store as in use, in seconds.
pub const ALIVE_SECONDS: u64 = 5;
/// How far the clock of an issuer may be ahead, in seconds: the longest leeway of an issuer file. After the database was
/// replaced, tokens that such an issuer issued before are refused too.
pub(crate) const ISSUER_AHEAD_SECONDS_MAX: u64 = 60;

/// Rows that are returned if both marks were written.
const MARKS: usize = 2;

/// Whether a store was continuously in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// The creation mark was renewed: the store was out of use for too long or is an older copy.
    Broken {
        /// When it was last marked as in use, in Unix seconds.
        last_in_use: u64,
    },
    /// The creation mark was renewed: the database is another incarnation, such as a promoted standby or a restored backup.
    Replaced,
    Unbroken,
}

/// Marks the store in `database`, which [`crate::Store::open`] has set up, as in use at `now`; on PostgreSQL, by the
/// database's clock.
///
/// A store without a mark counts as unbroken: it is new, or its hosts did not support marks.
///
/// # Errors
/// The database can't be written. The mark ages, and the store may count as broken later.
pub async fn keep_alive<D: Database>(database: &D, now: UnixMilliseconds) -> Result<Continuity, Error> {
    match D::DIALECT {
        Dialect::Postgres => on_postgres(database).await,
        Dialect::Sqlite => on_sqlite(database, now.seconds()).await,
    }
}

async fn on_postgres(database: &impl Database) -> Result<Continuity, Error> {
    let parameters = [GAP_SECONDS.try_into()?, ISSUER_AHEAD_SECONDS_MAX.try_into()?];
    let marked = database.run(Statement::new(postgres::statements::ALIVE_MARK_WRITE, parameters)).await?;
    let mark = marked.first().ok_or(Error::Unavailable(Cause::CreationMarkMissing))?;
    match database::number(mark, 0)? {
        0 => Ok(Continuity::Unbroken),
        1 => Ok(Continuity::Broken { last_in_use: database::number(mark, 1)? }),
        _ => Ok(Continuity::Replaced),
    }
}

async fn on_sqlite(database: &impl Database, seconds: u64) -> Result<Continuity, Error> {
    let parameters = [seconds.try_into()?, seconds.saturating_sub(GAP_SECONDS).try_into()?];
    let before = database.run(Statement::new(schema::ALIVE_MARK_READ, [])).await?;
    let marked = database.run(Statement::new(schema::ALIVE_MARK_WRITE, parameters)).await?;
    if marked.len() < MARKS {
        return Ok(Continuity::Unbroken);
    }
    let last_in_use = before.first().map_or(Ok(0), |row| database::number(row, 0))?;
    Ok(Continuity::Broken { last_in_use })
}
