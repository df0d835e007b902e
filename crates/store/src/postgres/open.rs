//! Checks of a connection: the schema's version, and that commits are durable. Creates nothing.

use super::schema::{SCHEMA_VERSION, VERSIONS_READ};
use crate::database::{self, Database, Statement};
use crate::error::{Cause, Error};

/// Whether a commit that the database confirms is durable there and, where it has synchronous standbys, on them (I1), and
/// whether statements see what the store's rules assume.
const IS_SAFE: &str = "SELECT CASE WHEN current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' \
    AND current_setting('synchronous_commit') NOT IN ('off', 'local') \
    AND current_setting('default_transaction_isolation') = 'read committed' THEN 1 ELSE 0 END";
const HAS_SCHEMA: &str = "SELECT 1 WHERE to_regclass('mark') IS NOT NULL";

pub(crate) async fn open(database: &impl Database) -> Result<(), Error> {
    let versions = match database.run(Statement::new(VERSIONS_READ, [])).await {
        Ok(rows) => rows,
        Err(error) => {
            let has_schema = database.run(Statement::new(HAS_SCHEMA, [])).await?;
            return Err(if has_schema.is_empty() { Error::Unavailable(Cause::SchemaMissing) } else { error });
        }
    };
    let versions = versions.first().ok_or(Error::Unavailable(Cause::SchemaMissing))?;
    let (found, oldest) = (database::number(versions, 0)?, database::number(versions, 1)?);
    // A newer schema names the oldest version whose running programs it still suits.
    if found < SCHEMA_VERSION || oldest > SCHEMA_VERSION {
        return Err(Error::Unavailable(Cause::SchemaVersion { found, expected: SCHEMA_VERSION }));
    }
    let safe = database.run(Statement::new(IS_SAFE, [])).await?;
    match safe.first().map(|row| database::number(row, 0)).transpose()? {
        Some(1) => Ok(()),
        Some(_) | None => Err(Error::Unavailable(Cause::NotDurable)),
    }
}
