//! Background work of the store: marks it as in use, and records its free space.
//!
//! The mark (`vouchsafe_store::keep_alive`) distinguishes a database that was restored from a backup from one that was
//! in use all the time; `vouchsafe_store::note_space` records the space. Components can't run in the
//! background, so the host does this over the connection that they share.

use crate::clock::Clock;
use crate::error::HostError;
use crate::space::StoreFiles;
use crate::sqlite::{from_sqlite, to_sqlite, unavailable};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use vouchsafe_manifest::{Capability, Component, Dependency};
use vouchsafe_serve::log;
use vouchsafe_store::{
    ALIVE_SECONDS, Continuity, Database, Dialect, Error, Row, Statement, Store, UnixMilliseconds, keep_alive,
    note_space,
};
use wasmtime_wasi::HostWallClock as _;

/// The store's database.
pub const LABEL: &str = "default";
const STORE: &str = "vouchsafe:store";
/// How often opening the store is tried while another process sets it up, and the pause between the attempts.
const ATTEMPTS_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Whether the application has a dependency that exports `vouchsafe:store`.
pub fn has_store(root: &Component) -> bool {
    has_store_with(root, Capability::SqliteDatabases)
}

/// Whether that dependency inherits `capability`.
pub fn has_store_with(root: &Component, capability: Capability) -> bool {
    root.dependencies.iter().any(|dependency| is_store(dependency) && dependency.inherit.contains(&capability))
}

/// Whether `dependency` is on `vouchsafe:store`.
pub fn is_store(dependency: &Dependency) -> bool {
    dependency.name.split(['@', '/']).next() == Some(STORE)
}

/// Sets up the store, marks it as in use, and keeps doing so on a separate thread.
pub fn start(database: Arc<crate::sqlite::Database>, files: Arc<StoreFiles>, clock: Clock) -> Result<(), HostError> {
    let failed = |what: String| HostError::startup(format!("cannot use the store: {what}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let (opened, wait) = std::sync::mpsc::channel();
    let work = move || {
        let store = Shared(database);
        runtime.block_on(async {
            let first = open(&store, clock).await;
            let usable = first.is_ok();
            record_space(&store, &files).await;
            // `start` waits for this result and reports an error.
            drop(opened.send(first));
            if !usable {
                return;
            }
            loop {
                tokio::time::sleep(Duration::from_secs(ALIVE_SECONDS)).await;
                // The next attempt makes up for one that fails; otherwise the store counts as out of use.
                if let Ok(continuity) = keep_alive(&store, now(clock)).await {
                    report(continuity);
                }
                record_space(&store, &files).await;
            }
        });
    };
    std::thread::Builder::new().name("store-alive".into()).spawn(work).map_err(|error| failed(error.to_string()))?;
    match wait.recv() {
        Ok(Ok(continuity)) => report(continuity),
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(failed("its thread has ended".to_owned())),
    }
    Ok(())
}

/// Records the free space. On a full disk that fails too, but low space was recorded long before.
async fn record_space(store: &Shared, files: &StoreFiles) {
    if let Some(free_bytes) = files.free_bytes() {
        // The next attempt makes up for one that fails.
        drop(note_space(store, free_bytes).await);
    }
}

async fn open(store: &Shared, clock: Clock) -> Result<Continuity, Error> {
    for _ in 1..ATTEMPTS_MAX {
        match try_open(store, clock).await {
            Err(Error::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
            opened => return opened,
        }
    }
    try_open(store, clock).await
}

async fn try_open(store: &Shared, clock: Clock) -> Result<Continuity, Error> {
    drop(Store::open(store, now(clock)).await?);
    keep_alive(store, now(clock)).await
}

fn now(clock: Clock) -> UnixMilliseconds {
    UnixMilliseconds(u64::try_from(clock.now().as_millis()).unwrap_or(u64::MAX))
}

/// Explains to the operator why callers with older tokens get `replay.predates_store`.
pub fn report(continuity: Continuity) {
    match continuity {
        Continuity::Broken { last_in_use } => {
            let when = vouchsafe_policy::to_rfc3339(last_in_use).unwrap_or_default();
            log!("serve: the database was last in use at {when}; single-use tokens issued before now are refused");
        }
        Continuity::Replaced => {
            log!("serve: the database was promoted or restored; single-use tokens issued before now are refused");
        }
        Continuity::Unbroken => {}
    }
}

/// The connection that the guests share.
struct Shared(Arc<crate::sqlite::Database>);

impl Database for Shared {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = oneshot::Sender<()>;

    fn alarm(&self) -> (Self::Alarm, impl Future<Output = ()>) {
        let (alarm, sleep) = oneshot::channel();
        (alarm, async { drop(sleep.await) })
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let parameters = statement.parameters.into_iter().map(to_sqlite).collect();
        let answer = self.0.query(statement.sql.into_owned(), parameters).await;
        let answer = answer.map_err(unavailable)?;
        match answer.late {
            Some(error) => Err(unavailable(error)),
            None => Ok(answer.rows.into_iter().map(|row| row.values.into_iter().map(from_sqlite).collect()).collect()),
        }
    }
}
