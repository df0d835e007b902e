//! Background work of a store on PostgreSQL: marks it as in use, and makes partitions before they are needed.

use super::pools::{Database, Pools};
use super::query::Answer;
use crate::bindings::postgres::{DbError, DbValue, Error as PostgresError, ParameterValue, QueryError};
use crate::continuity;
use crate::error::HostError;
use crate::outbound::Network;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use vouchsafe_manifest::{Capability, Component};
use vouchsafe_store::postgres::schema::{CREATE_PARTITIONS, SCHEMA_VERSION, VERSIONS_READ};
use vouchsafe_store::{
    ALIVE_SECONDS, Cause, Dialect, Error, Row, Statement, Store, UnixMilliseconds, Value, keep_alive,
};

/// The variable of the environment from which the store gets its address.
const ADDRESS: &str = "POSTGRES_ADDRESS";
/// How many months the partitions are ahead.
const MONTHS_AHEAD: i32 = 3;
/// How many marks are set between two checks of the partitions: an hour.
const MARKS_PER_CHECK: u64 = 3600 / ALIVE_SECONDS;
/// Longest wait for the first mark. A database that is down is left to the readiness check.
const FIRST_MARK_MAX: Duration = Duration::from_secs(3);

/// The address of the application's store, if it has one on PostgreSQL.
pub fn address_of_store(root: &Component, environment: &BTreeMap<String, String>) -> Option<String> {
    let has_store = continuity::has_store_with(root, Capability::Environment);
    environment.get(ADDRESS).filter(|_| has_store).cloned()
}

/// Marks the store at `address` as in use on a thread of its own, with a connection of its own, so that it never waits for
/// guests. Fails if the schema does not suit this version; waits for nothing else.
pub fn keep(network: Arc<Network>, address: &str) -> Result<(), HostError> {
    let failed = |what: &dyn std::fmt::Display| HostError::startup(format!("cannot use the store: {what}"));
    let pools = Pools::with_connections(network, 1);
    let database = pools.get(address).map_err(|error| failed(&text(error)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
    let (first, wait) = std::sync::mpsc::channel();
    let work = move || runtime.block_on(run(Keeper(database), first));
    std::thread::Builder::new().name("store-alive".into()).spawn(work).map_err(|error| failed(&error))?;
    match wait.recv_timeout(FIRST_MARK_MAX) {
        Ok(Err(error @ Error::Unavailable(Cause::SchemaMissing | Cause::SchemaVersion { .. }))) => {
            Err(failed(&error).hint("run `vouchsafe store migrate --check` to see what to do"))
        }
        Ok(Err(error @ Error::Unavailable(Cause::NotDurable))) => {
            Err(failed(&error).hint("set fsync, full_page_writes and synchronous_commit to on, and default_transaction_isolation to read committed"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn run(keeper: Keeper, first: std::sync::mpsc::Sender<Result<(), Error>>) {
    let mut marks = 0_u64;
    loop {
        let marked = mark(&keeper, marks.is_multiple_of(MARKS_PER_CHECK)).await;
        // The next attempt makes up for one that fails; otherwise the store counts as out of use.
        marks = if marked.is_ok() { marks.wrapping_add(1) } else { 0 };
        drop(first.send(marked));
        tokio::time::sleep(Duration::from_secs(ALIVE_SECONDS)).await;
    }
}

async fn mark(keeper: &Keeper, check: bool) -> Result<(), Error> {
    // The time is the database's.
    let unused = UnixMilliseconds(0);
    if check {
        drop(Store::open(keeper, unused).await?);
        keeper.refuse_newer_schema().await?;
        rows(keeper.0.query(CREATE_PARTITIONS, vec![ParameterValue::Int32(MONTHS_AHEAD)]).await)?;
    }
    continuity::report(keep_alive(keeper, unused).await?);
    Ok(())
}

/// The store's database, for statements of the host.
struct Keeper(Arc<Database>);

impl Keeper {
    /// Running brokers of an older version may go on with a newer schema, but none starts with it.
    async fn refuse_newer_schema(&self) -> Result<(), Error> {
        let found = rows(self.0.query(VERSIONS_READ, vec![]).await)?;
        match found.first().and_then(|row| row.first()) {
            Some(Value::Integer(found)) if found.cast_unsigned() > SCHEMA_VERSION => {
                let found = found.cast_unsigned();
                Err(Error::Unavailable(Cause::SchemaVersion { found, expected: SCHEMA_VERSION }))
            }
            _ => Ok(()),
        }
    }
}

impl vouchsafe_store::Database for Keeper {
    const DIALECT: Dialect = Dialect::Postgres;
    type Alarm = oneshot::Sender<()>;

    fn alarm(&self) -> (Self::Alarm, impl Future<Output = ()>) {
        let (alarm, sleep) = oneshot::channel();
        (alarm, async { drop(sleep.await) })
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let parameters = statement.parameters.into_iter().map(parameter).collect();
        rows(self.0.query(&statement.sql, parameters).await)
    }
}

fn rows(answer: Result<Answer, PostgresError>) -> Result<Vec<Row>, Error> {
    let unavailable = |error| Error::Unavailable(Cause::Io(text(error)));
    let answer = answer.map_err(unavailable)?;
    match answer.late {
        Some(error) => Err(unavailable(error)),
        None => Ok(answer.rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect()),
    }
}

fn text(error: PostgresError) -> String {
    match error {
        PostgresError::ConnectionFailed(text) | PostgresError::QueryFailed(QueryError::Text(text)) => text,
        PostgresError::QueryFailed(QueryError::DbError(DbError { code, .. })) => format!("SQLSTATE {code}"),
        PostgresError::BadParameter(text) | PostgresError::Other(text) | PostgresError::ValueConversionFailed(text) => {
            text
        }
    }
}

fn parameter(value: Value) -> ParameterValue {
    match value {
        Value::Blob(bytes) => ParameterValue::Binary(bytes),
        Value::Integer(number) => ParameterValue::Int64(number),
        Value::Null => ParameterValue::DbNull,
        Value::Real(number) => ParameterValue::Floating64(number),
        Value::Text(text) => ParameterValue::Str(text),
    }
}

fn value(value: DbValue) -> Value {
    match value {
        DbValue::Int32(number) => Value::Integer(number.into()),
        DbValue::Int64(number) => Value::Integer(number),
        DbValue::Str(text) => Value::Text(text),
        _ => Value::Null,
    }
}
