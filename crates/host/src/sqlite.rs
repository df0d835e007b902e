//! The databases behind `spin:sqlite`: one SQLite connection each, shared by all instances.
//!
//! Each connection has a thread of its own, so that a slow disk never stalls the event loop. As with Spin, statements
//! of other guests would join a transaction that one guest begins; the store only writes single statements. Statements
//! that wait at the same time share one commit ([`group`]).

mod call;
mod direct;
mod group;
mod query;

use crate::bindings::sqlite::{Error, Value};
use call::Call;
pub use call::{Kind, Work, call};
pub use direct::{at_once, from_sqlite, to_sqlite, unavailable};
use group::Job;
use query::Answer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

/// Prepared statements that a connection keeps.
const STATEMENTS_CACHED_MAX: usize = 64;

/// An open database.
pub struct Database {
    jobs: mpsc::Sender<Job>,
    pub path: PathBuf,
}

/// The databases of the application by label.
#[derive(Default)]
pub struct Databases(BTreeMap<String, Arc<Database>>);

impl Databases {
    /// Opens every database and creates missing files.
    pub fn open(paths: &BTreeMap<String, PathBuf>) -> rusqlite::Result<Self> {
        let open = |(label, path): (&String, &PathBuf)| {
            make_private(path);
            Ok((label.clone(), Arc::new(Database::open(path)?)))
        };
        Ok(Self(paths.iter().map(open).collect::<rusqlite::Result<_>>()?))
    }

    /// The database `label`. Only databases that the manifest grants are here.
    pub fn get(&self, label: &str) -> Result<Arc<Database>, Error> {
        self.0.get(label).cloned().ok_or(Error::AccessDenied)
    }
}

/// Creates a missing database file with mode 0600, which SQLite then uses for its journals too. An existing file keeps
/// its mode. Errors are ignored here, because opening the database reports them.
fn make_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    drop(options.write(true).create_new(true).mode(0o600).open(path));
}

impl Database {
    fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
        let (jobs, receiver) = mpsc::channel();
        std::thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || group::run_jobs(&connection, &receiver))
            .map_err(|_| rusqlite::Error::InvalidQuery)?;
        Ok(Self { jobs, path: path.to_owned() })
    }

    /// Sends a job to the connection's thread. The job runs even if the caller is dropped.
    async fn submit<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        self.jobs.send(job(sender)).map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())
    }

    /// Sends a call of the store to the connection's thread, where it runs even if its caller is dropped.
    pub fn call(&self, call: Box<dyn Call>) -> Result<(), Error> {
        self.jobs.send(Job::Call(call)).map_err(|_| ended())
    }

    /// Runs one statement to its end. Its writes are committed when this returns.
    pub async fn query(&self, statement: String, parameters: Vec<Value>) -> Result<Answer, Error> {
        self.submit(|reply| Job::Query { statement, parameters, reply }).await?
    }

    /// Rowid of the connection's last insert, by any guest.
    pub async fn last_insert_rowid(&self) -> Result<i64, Error> {
        self.submit(Job::LastInsertRowid).await
    }

    /// Rows changed by the connection's last statement, of any guest.
    pub async fn changes(&self) -> Result<u64, Error> {
        self.submit(Job::Changes).await
    }
}

fn ended() -> Error {
    Error::Io("the database thread has ended".into())
}

#[cfg(test)]
mod tests {
    use super::query::RESULT_BYTES_MAX;
    use super::*;

    fn database() -> Database {
        Database::open(Path::new(":memory:")).expect("opens")
    }

    async fn run(database: &Database, statement: &str, parameters: Vec<Value>) -> Answer {
        database.query(statement.to_owned(), parameters).await.expect(statement)
    }

    #[tokio::test]
    async fn values_of_each_type_survive_a_round_trip() {
        let values = || {
            vec![
                Value::Integer(i64::MIN),
                Value::Real(1.5),
                Value::Text("\u{e9}".into()),
                Value::Blob(vec![0, 255]),
                Value::Null,
            ]
        };
        let answer = run(&database(), "SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e", values()).await;
        assert_eq!(answer.columns, ["a", "b", "c", "d", "e"]);
        assert_eq!(format!("{:?}", answer.rows[0].values), format!("{:?}", values()));
        assert!(answer.late.is_none());
    }

    #[tokio::test]
    async fn separates_runtime_errors_from_syntax_errors() {
        let database = database();
        run(&database, "CREATE TABLE t (k TEXT PRIMARY KEY)", vec![]).await;
        run(&database, "INSERT INTO t VALUES ('a')", vec![]).await;
        let answer = run(&database, "INSERT INTO t VALUES ('a') RETURNING k", vec![]).await;
        assert!(answer.rows.is_empty());
        assert!(matches!(answer.late, Some(Error::Io(text)) if text.contains("UNIQUE")));
        let refused = database.query("SELEC 1".to_owned(), vec![]).await.map(|_| ());
        assert!(matches!(refused, Err(Error::Io(text)) if text.contains("syntax error")));
    }

    #[tokio::test]
    async fn limits_the_size_of_results() {
        let database = database();
        for (bytes, expected) in [(RESULT_BYTES_MAX, true), (RESULT_BYTES_MAX + 1, false)] {
            let answer = run(&database, &format!("SELECT zeroblob({bytes})"), vec![]).await;
            assert_eq!((answer.rows.len() == 1, answer.late.is_none()), (expected, expected), "{bytes}");
        }
    }

    #[tokio::test]
    async fn reports_a_full_database() {
        let database = database();
        run(&database, "CREATE TABLE t (b BLOB)", vec![]).await;
        run(&database, "PRAGMA max_page_count = 4", vec![]).await;
        let answer = run(&database, "INSERT INTO t VALUES (zeroblob(100000))", vec![]).await;
        assert!(matches!(answer.late, Some(Error::DatabaseFull)));
    }

    #[tokio::test]
    async fn new_database_and_journals_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("vouchsafe-modes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        let mode = |name: &str| {
            let file = std::fs::metadata(folder.join(name)).expect(name);
            file.permissions().mode() & 0o777
        };
        std::fs::write(folder.join("old.db"), "").expect("written");
        let shared = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(folder.join("old.db"), shared).expect("set");
        let paths = ["new", "old"].map(|name| (name.to_owned(), folder.join(format!("{name}.db"))));
        let databases = Databases::open(&paths.into()).expect("opens");
        for (name, expected) in [("new", 0o600), ("old", 0o640)] {
            let database = databases.get(name).expect("granted");
            run(&database, "PRAGMA journal_mode = WAL", vec![]).await;
            run(&database, "CREATE TABLE t (k TEXT)", vec![]).await;
            for file in ["db", "db-wal", "db-shm"] {
                let file = format!("{name}.{file}");
                assert_eq!(mode(&file), expected, "{file}");
            }
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn denies_ungranted_database() {
        let databases = Databases::default();
        assert!(matches!(databases.get("default").map(|_| ()), Err(Error::AccessDenied)));
    }
}
