//! Whether the database can be written and has free space.
//!
//! The store has no access to the file system. Its host reports the free space with [`note_space`], next to
//! [`crate::keep_alive`].

use crate::database::{self, Database, Statement};
use crate::error::Error;
use crate::statements;
use crate::time::{GAP_SECONDS, UnixMilliseconds};
use vouchsafe_types::Space;

/// Free bytes below which space is low. At most `REFUSALS_PER_ISSUER_MAX` rows of about 12 KiB a minute leave operators
/// more than two hours.
pub const SPACE_LOW_BYTES: u64 = 1024 * 1024 * 1024;

/// Records that the database of [`crate::Store`] has `free_bytes` left. Writes only if that changes whether space is low.
///
/// # Errors
/// The database can't be written.
pub async fn note_space(database: &impl Database, free_bytes: u64) -> Result<(), Error> {
    let low = u64::from(free_bytes < SPACE_LOW_BYTES).try_into()?;
    let noted = database.run(Statement::new(statements::SPACE_WRITE, [low]));
    noted.await.map(drop)
}

/// Writes at most once a second, and reads the recorded space.
pub(crate) async fn writable(database: &impl Database, now: UnixMilliseconds) -> Result<Space, Error> {
    let seconds = now.seconds();
    let latest = seconds.saturating_add(statements::WRITTEN_AHEAD_SECONDS_MAX);
    let mark = [seconds.try_into()?, latest.try_into()?];
    database.run(Statement::new(statements::WRITTEN_MARK_WRITE, mark)).await?;
    let noted_since = seconds.saturating_sub(GAP_SECONDS).try_into()?;
    let noted = database.run(Statement::new(statements::SPACE_READ, [noted_since])).await?;
    match noted.first() {
        None => Ok(Space::Unknown),
        Some(row) if database::number(row, 0)? == 0 => Ok(Space::Ok),
        Some(_) => Ok(Space::Low),
    }
}
