//! Detects stores that were restored from an older copy.
//!
//! A restored database doesn't know which single-use tokens were used after the copy was made (I4). The host therefore
//! calls [`keep_alive`] every [`ALIVE_SECONDS`], which records until when the store was in use. A store whose mark is
//! older than [`GAP_SECONDS`] was stopped for that long or is a copy. Both are treated as a copy: the creation mark is
//! renewed, and single-use tokens that were issued earlier are refused, because they may have been used.

use crate::database::{self, Database, Statement};
use crate::error::Error;
use crate::schema;
use crate::time::UnixMilliseconds;

/// How often a host marks its store as in use, in seconds.
pub const ALIVE_SECONDS: u64 = 5;
/// Longest time out of use, in seconds, after which the store is still trusted. A copy that is restored within that time
/// is not detected.
pub const GAP_SECONDS: u64 = 15;

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
    Unbroken,
}

/// Marks the store in `database`, which [`crate::Store::open`] has set up, as in use at `now`.
///
/// A store without a mark counts as unbroken: it is new, or its hosts did not support marks.
///
/// # Errors
/// The database can't be written. The mark ages, and the store may count as broken later.
pub async fn keep_alive(database: &impl Database, now: UnixMilliseconds) -> Result<Continuity, Error> {
    let seconds = now.seconds();
    let parameters = [seconds.try_into()?, seconds.saturating_sub(GAP_SECONDS).try_into()?];
    let before = database.run(Statement::new(schema::ALIVE_MARK_READ, [])).await?;
    let marked = database.run(Statement::new(schema::ALIVE_MARK_WRITE, parameters)).await?;
    if marked.len() < MARKS {
        return Ok(Continuity::Unbroken);
    }
    let last_in_use = before.first().map_or(Ok(0), |row| database::number(row, 0))?;
    Ok(Continuity::Broken { last_in_use })
}
