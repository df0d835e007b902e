//! Whether a store remembers all that it was ever told.
//!
//! A database that is restored from an older copy has forgotten which single-use tokens were used since
//! (I4). It can't see that itself, but whoever runs it can: [`keep_alive`], called every
//! [`ALIVE_SECONDS`], leaves a mark that says until when the store was in use. A store whose mark is older
//! than [`GAP_SECONDS`] was either stopped for that long or is such a copy; both are taken for the
//! latter, and the store's creation mark is made anew: single-use tokens that were issued before are
//! refused, since they may have been used.

use crate::database::{self, Database, Statement};
use crate::error::Error;
use crate::schema;
use crate::time::UnixMilliseconds;

/// How often whoever runs a store says that it is in use, in seconds.
pub const ALIVE_SECONDS: u64 = 5;
/// Longest time in which a store may have been out of use without doubt about what it remembers, in
/// seconds. A copy that is restored within it may have forgotten as much.
pub const GAP_SECONDS: u64 = 15;

/// Rows that come back where both marks were written.
const MARKS: usize = 2;

/// What became of a store since it was last said to be in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// Its creation mark is new: it was out of use for too long, or is an older copy.
    Broken {
        /// Unix seconds at which it was said to be in use before.
        last_in_use: u64,
    },
    Unbroken,
}

/// Says that the store behind `database`, which [`crate::Store::open`] has set up, is in use at `now`.
///
/// A store that never heard this before is unbroken: it is new, or its hosts so far could not say it.
///
/// # Errors
/// The database can't be written. Nothing is lost: the mark ages, and counts as broken in time.
pub async fn keep_alive(
    database: &impl Database,
    now: UnixMilliseconds,
) -> Result<Continuity, Error> {
    let seconds = now.seconds();
    let parameters = [
        seconds.try_into()?,
        seconds.saturating_sub(GAP_SECONDS).try_into()?,
    ];
    let before = database
        .run(Statement::new(schema::ALIVE_MARK_READ, []))
        .await?;
    let marked = database
        .run(Statement::new(schema::ALIVE_MARK_WRITE, parameters))
        .await?;
    if marked.len() < MARKS {
        return Ok(Continuity::Unbroken);
    }
    let last_in_use = before
        .first()
        .map_or(Ok(0), |row| database::number(row, 0))?;
    Ok(Continuity::Broken { last_in_use })
}
