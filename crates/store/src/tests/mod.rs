//! The store on real databases, with the same statements as on Spin. Tests in [`on_both`] are the conformance suite: they run
//! on SQLite and on PostgreSQL.

use std::cell::Cell;
use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use crate::*;

/// Runs each test on either database.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_sqlite {
            $(#[test]
            fn $test() {
                super::$test::<crate::tests::File>();
            })*
        }

        mod on_postgres {
            $(#[test]
            fn $test() {
                super::$test::<crate::tests::postgres::Postgres>();
            })*
        }
    };
}

mod audit;
mod consume;
mod continuity;
mod deadline;
mod durability;
mod group;
mod log;
mod names;
mod postgres;
mod postgres_races;
mod proofs;
mod refusals;
mod revocation_list;
mod revocation_races;
mod revocations;
mod space;
mod status_list;
mod sweep;

/// 2027-01-15T08:00:00.250Z.
const NOW: UnixMilliseconds = UnixMilliseconds(1_800_000_000_250);
const NOW_SECONDS: u64 = 1_800_000_000;
/// Long enough for any test.
const KEEP_UNTIL: u64 = NOW_SECONDS + 3600;

fn later(seconds: u64) -> UnixMilliseconds {
    UnixMilliseconds(NOW.0 + seconds * 1000)
}

/// A new database, which any number of connections open.
pub(crate) trait Scene: Sync {
    type Db: Database<Alarm = Bell> + Inspect;
    /// The records together with their counters.
    const RECORDS: &str;
    /// Part of the error if a decision is recorded twice.
    const NOT_UNIQUE: &str;

    fn new() -> Self;

    fn connect(&self) -> Self::Db;

    /// Sets the clock of a database that has one.
    fn set_clock(&self, now: UnixMilliseconds);

    fn open(&self) -> Store<Self::Db> {
        self.open_at(NOW)
    }

    fn open_at(&self, now: UnixMilliseconds) -> Store<Self::Db> {
        self.set_clock(now);
        done(Store::open(self.connect(), now)).unwrap()
    }
}

/// A look at the rows.
pub(crate) trait Inspect {
    fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, String>;

    /// The first column of every row, as text.
    fn column(&self, sql: &str) -> Vec<String> {
        let rows = self.query(sql, vec![]).unwrap();
        rows.into_iter()
            .map(|mut row| match row.swap_remove(0) {
                Value::Integer(number) => number.to_string(),
                Value::Text(text) => text,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn count(&self, table: &str) -> u64 {
        self.column(&format!("SELECT count(*) FROM {table}"))[0].parse().unwrap()
    }
}

/// A database of `rusqlite`, which never makes its caller wait.
pub(crate) struct Rusqlite(rusqlite::Connection);

impl Rusqlite {
    fn query(&self, sql: &str, parameters: Vec<Value>) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.0.prepare(sql)?;
        let columns = statement.column_count();
        let parameters = rusqlite::params_from_iter(parameters.into_iter().map(to_rusqlite));
        let rows = statement.query_map(parameters, |row| {
            (0..columns).map(|column| row.get::<_, rusqlite::types::Value>(column).map(from_rusqlite)).collect()
        })?;
        rows.collect()
    }
}

impl Inspect for Rusqlite {
    fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>, String> {
        Rusqlite::query(self, sql, parameters).map_err(|error| error.to_string())
    }
}

/// An alarm of one thread.
pub(crate) struct Bell(Rc<Cell<Ring>>);

enum Ring {
    Rung,
    Silent(Option<Waker>),
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Ring::Silent(Some(waker)) = self.0.replace(Ring::Rung) {
            waker.wake();
        }
    }
}

/// A sleep that can't be woken once it is dropped.
struct Sleep(Rc<Cell<Ring>>);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.0.replace(Ring::Silent(Some(context.waker().clone()))) {
            Ring::Rung => Poll::Ready(()),
            Ring::Silent(_) => Poll::Pending,
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.0.set(Ring::Rung);
    }
}

fn bell() -> (Bell, Sleep) {
    let ring = Rc::new(Cell::new(Ring::Silent(None)));
    (Bell(Rc::clone(&ring)), Sleep(ring))
}

impl Database for Rusqlite {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = Bell;

    fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
        bell()
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        check_order_of_names(&statement);
        let rows = self.query(&statement.sql, statement.parameters);
        rows.map_err(|error| Error::Unavailable(Cause::Io(error.to_string())))
    }
}

/// SQLite takes `$1` for a name and numbers names in the order in which they first occur; PostgreSQL takes the number.
fn check_order_of_names(statement: &Statement) {
    let mut names: Vec<usize> = Vec::new();
    for text in statement.sql.split('$').skip(1) {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        // In a path of JSON, `$` is no parameter.
        if let Ok(number) = text[..digits].parse()
            && !names.contains(&number)
        {
            names.push(number);
        }
    }
    let expected: Vec<_> = (1..=statement.parameters.len()).collect();
    assert!(names.is_empty() || names == expected, "{}", statement.sql);
}

fn to_rusqlite(value: Value) -> rusqlite::types::Value {
    match value {
        Value::Blob(bytes) => bytes.into(),
        Value::Integer(number) => number.into(),
        Value::Null => rusqlite::types::Value::Null,
        Value::Real(number) => number.into(),
        Value::Text(text) => text.into(),
    }
}

fn from_rusqlite(value: rusqlite::types::Value) -> Value {
    use rusqlite::types::Value as Theirs;
    match value {
        Theirs::Blob(bytes) => Value::Blob(bytes),
        Theirs::Integer(number) => Value::Integer(number),
        Theirs::Null => Value::Null,
        Theirs::Real(number) => Value::Real(number),
        Theirs::Text(text) => Value::Text(text),
    }
}

/// A deadline that never passes.
fn unlimited() -> Deadline<impl Future<Output = ()> + Unpin> {
    Deadline::new(std::future::pending())
}

/// Runs a future that never waits.
pub(crate) fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

/// A temporary database file.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("vouchsafe-store-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn connect(&self) -> Rusqlite {
        Rusqlite(rusqlite::Connection::open(self.0.join("state.db")).unwrap())
    }

    pub(crate) fn open(&self) -> Store<Rusqlite> {
        self.open_at(NOW)
    }

    fn open_at(&self, now: UnixMilliseconds) -> Store<Rusqlite> {
        done(Store::open(self.connect(), now)).unwrap()
    }
}

impl Scene for File {
    type Db = Rusqlite;
    const RECORDS: &str = "audit";
    const NOT_UNIQUE: &str = "UNIQUE constraint failed: audit.decision_id";

    fn new() -> Self {
        Self::new()
    }

    fn connect(&self) -> Rusqlite {
        self.connect()
    }

    fn set_clock(&self, _: UnixMilliseconds) {}
}

impl Drop for File {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_dir_all(&self.0);
    }
}

fn consume(store: &Store<impl Database<Alarm = Bell>>, key: &str, issued_at: u64) -> Result<Consumption, Error> {
    done(store.consume(key, 1, issued_at, KEEP_UNTIL, NOW, &mut unlimited()))
}
