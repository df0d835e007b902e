//! A copy of the records and the log of a store on PostgreSQL, in a temporary SQLite database, so that both are verified by
//! the same code.

use super::database::Database;
use super::postgres::Postgres;
use super::record::Record;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use serde_json::Value;
use std::path::PathBuf;
use vouchsafe_cli::Failure;
use vouchsafe_store::COMMITTED;

/// Rows that are fetched at once.
const ROWS: u32 = 2000;
/// Added to the numbers of records that are in no log yet. Those in a log get the number of their leaf, because with
/// PostgreSQL the records' own numbers are not in the order of commits.
const PENDING: i64 = 1 << 61;

/// Copies everything as of one moment.
pub fn of_postgres(mut source: Postgres) -> Result<Database, Failure> {
    source.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    // An empty name is a temporary database, which SQLite deletes.
    let connection = Connection::open("").map_err(|error| Failure::refused(error.to_string()))?;
    let database = Database { path: PathBuf::from("the copy"), connection };
    let columns = COMMITTED.join(", ");
    let tables = format!(
        "CREATE TABLE audit (seq, salt, leaf, {columns}); \
         CREATE UNIQUE INDEX decisions ON audit (decision_id); \
         CREATE TABLE log_leaves (log, log_index, seq, decision_id UNIQUE, hash); \
         CREATE INDEX numbers ON log_leaves (seq); CREATE INDEX hashes ON log_leaves (hash); \
         CREATE TABLE log_tiles (log, level, tile_index, hashes); \
         CREATE TABLE pointers (name, value); \
         CREATE TABLE meta (name, value);"
    );
    database.connection.execute_batch(&tables).map_err(|error| database.failed(&error))?;
    let log = ["log", "log_index", "seq", "decision_id", "hash"];
    copy(&mut source, &database, "log_leaves", &log, "log_leaves", "(log, log_index)")?;
    let tiles = ["log", "level", "tile_index", "hashes"];
    copy(&mut source, &database, "log_tiles", &tiles, "log_tiles", "(log, level, tile_index)")?;
    copy(&mut source, &database, "pointers", &["name", "value"], "pointers", "(name)")?;
    copy(&mut source, &database, "meta", &["name", "value"], "meta", "(name)")?;
    let records = format!(
        "(SELECT CASE WHEN leaf.seq IS NOT NULL THEN leaf.seq WHEN audit.leaf IS NULL AND audit.seq < \
         (SELECT coalesce(min(first.seq), audit.seq + 1) FROM audit AS first WHERE first.leaf IS NOT NULL) THEN 0 \
         ELSE audit.seq + {PENDING} END AS number, salt, audit.leaf, {} \
         FROM audit LEFT JOIN log_leaves AS leaf ON leaf.decision_id = audit.decision_id) AS records",
        COMMITTED.map(|name| format!("audit.{name}")).join(", ")
    );
    let mut names = vec!["number", "salt", "leaf"];
    names.extend(COMMITTED);
    copy(&mut source, &database, "audit", &names, &records, "(decision_id)")?;
    Ok(database)
}

/// Copies the columns `names` of `from` into the columns of the table, in pages ordered by the unique `key`.
fn copy(
    source: &mut Postgres,
    database: &Database,
    table: &str,
    names: &[&str],
    from: &str,
    key: &str,
) -> Result<(), Failure> {
    let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
    let insert = format!("INSERT INTO {table} VALUES ({})", places.join(", "));
    let cursor = format!(
        "DECLARE page NO SCROLL CURSOR FOR SELECT row_to_json(found)::text FROM \
        (SELECT {} FROM {from} ORDER BY {key}) AS found",
        names.join(", ")
    );
    source.query(&cursor)?;
    loop {
        let page = source.fetch(ROWS)?;
        if page.is_empty() {
            break;
        }
        insert_rows(database, &insert, names, &page).map_err(|error| database.failed(&error))?;
    }
    source.query("CLOSE page").map(|_| ())
}

fn insert_rows(database: &Database, sql: &str, names: &[&str], rows: &[Record]) -> rusqlite::Result<()> {
    let transaction = database.connection.unchecked_transaction()?;
    let mut statement = transaction.prepare_cached(sql)?;
    for row in rows {
        let value = |name: &&str| match row.columns.get(*name) {
            Some(Value::Number(number)) => number.as_i64().map_or(Sql::Null, Sql::Integer),
            Some(Value::String(text)) => Sql::Text(text.clone()),
            _ => Sql::Null,
        };
        statement.execute(params_from_iter(names.iter().map(value)))?;
    }
    drop(statement);
    transaction.commit()
}
