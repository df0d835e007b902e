//! The set-up of a connection, which creates missing tables.

use super::schema::{self, Column};
use crate::database::{self, Database, Statement};
use crate::error::{Cause, Error};
use crate::time::UnixMilliseconds;

/// Sets up the connection, creates missing tables and marks the creation of a new store.
pub(crate) async fn open(database: &impl Database, now: UnixMilliseconds) -> Result<(), Error> {
    if is_set_up(database).await {
        return Ok(());
    }
    for pragma in [schema::BUSY_TIMEOUT, schema::JOURNAL_MODE, schema::SYNCHRONOUS] {
        database.run(Statement::new(pragma, [])).await?;
    }
    let rows = database.run(Statement::new(schema::SYNCHRONOUS_READ, [])).await?;
    match rows.first().map(|row| database::number(row, 0)).transpose()? {
        Some(level) if level >= schema::SYNCHRONOUS_FULL => {}
        Some(_) | None => return Err(Error::Unavailable(Cause::NotDurable)),
    }
    for statement in schema::TABLES {
        database.run(Statement::new(statement, [])).await?;
    }
    for column in schema::COLUMNS {
        add(database, &column).await?;
    }
    for statement in schema::AFTER_COLUMNS {
        database.run(Statement::new(statement, [])).await?;
    }
    database.run(Statement::new(schema::TABLES_WRITE, [])).await?;
    let marked = database.run(Statement::new(schema::CREATION_MARK_READ, [])).await?;
    if marked.is_empty() {
        let mark = now.seconds().try_into()?;
        database.run(Statement::new(schema::CREATION_MARK_WRITE, [mark])).await?;
    }
    Ok(())
}

/// Whether the set-up is complete. Errors count as no; they recur in the full set-up.
async fn is_set_up(database: &impl Database) -> bool {
    let rows = database.run(Statement::new(schema::IS_SET_UP, [])).await;
    rows.is_ok_and(|rows| !rows.is_empty())
}

async fn add(database: &impl Database, column: &Column) -> Result<(), Error> {
    if has(database, column).await? {
        return Ok(());
    }
    let added = database.run(Statement::new(column.add, [])).await;
    if added.is_err() && has(database, column).await? {
        return Ok(());
    }
    added.map(drop)
}

async fn has(database: &impl Database, column: &Column) -> Result<bool, Error> {
    let rows = database.run(Statement::new(column.exists, [])).await?;
    Ok(!rows.is_empty())
}
