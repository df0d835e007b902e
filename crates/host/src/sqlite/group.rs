//! Group commit: statements that wait for the connection at the same time share one transaction.
//!
//! A durable commit flushes the disk, and one flush can serve many statements. To each caller, its statement appears to
//! run alone: the reply comes only after the commit, a failing statement undoes only itself, and if the transaction is
//! rolled back, every statement runs again on its own.

use super::call::{Call, Kind};
use super::direct::{LazyStore, unavailable};
use super::query::{Answer, query, to_error};
use crate::bindings::sqlite::{Error, Value};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// Maximum number of statements in one transaction.
const STATEMENTS_MAX: usize = 64;

/// A job for the connection's thread.
pub enum Job {
    /// A call of the host's own store.
    Call(Box<dyn Call>),
    Changes(oneshot::Sender<u64>),
    LastInsertRowid(oneshot::Sender<i64>),
    Query {
        statement: String,
        parameters: Vec<Value>,
        reply: oneshot::Sender<Result<Answer, Error>>,
    },
}

impl Job {
    fn kind(&self, store: &LazyStore<'_>) -> Kind {
        match self {
            // The first call opens the store, which no transaction may contain.
            Self::Call(call) => store.get().map_or(Kind::Alone, |_| call.kind()),
            Self::Changes(_) | Self::LastInsertRowid(_) => Kind::Alone,
            Self::Query { statement, .. } => kind(statement),
        }
    }
}

/// Classifies a statement by its first word. Everything but a plain read or write runs alone: `PRAGMA`, `BEGIN`,
/// `VACUUM`, `CREATE`, a comment.
fn kind(statement: &str) -> Kind {
    let word = statement.split_whitespace().next().unwrap_or_default();
    let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    if is(&["SELECT"]) {
        Kind::Read
    } else if is(&["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"]) {
        Kind::Write
    } else {
        Kind::Alone
    }
}

/// Runs jobs until all senders are dropped.
pub fn run_jobs(connection: &Connection, jobs: &Receiver<Job>) {
    let store = LazyStore::new(connection);
    let mut waiting = VecDeque::new();
    while let Ok(job) = jobs.recv() {
        waiting.push_back(job);
        while !waiting.is_empty() {
            waiting.extend(jobs.try_iter());
            run(connection, &store, next_group(&mut waiting, &store));
        }
    }
}

/// Takes the jobs that run next: in order of arrival, as many as may share a transaction.
fn next_group(waiting: &mut VecDeque<Job>, store: &LazyStore<'_>) -> Vec<Job> {
    let count = waiting.iter().take(STATEMENTS_MAX).take_while(|job| job.kind(store) != Kind::Alone).count();
    waiting.drain(..count.max(1).min(waiting.len())).collect()
}

fn run(connection: &Connection, store: &LazyStore<'_>, mut group: Vec<Job>) {
    let writes = group.iter().filter(|job| job.kind(store) == Kind::Write).count();
    // If a guest left a transaction open, all following statements are part of it, as with Spin.
    if writes < 2 || !connection.is_autocommit() {
        group.into_iter().for_each(|job| run_alone(connection, store, job));
        return;
    }
    match run_in_transaction(connection, store, &mut group) {
        Outcome::Committed(answers) => {
            for (job, answer) in group.into_iter().zip(answers) {
                reply(job, Ok(answer));
            }
        }
        Outcome::Failed(error) => group.into_iter().for_each(|job| reply(job, Err(error.clone()))),
        Outcome::RolledBack => group.into_iter().for_each(|job| run_alone(connection, store, job)),
    }
}

/// Sends a job of a group its answer, or the error of the commit.
fn reply(job: Job, outcome: Result<Option<Result<Answer, Error>>, Error>) {
    match job {
        Job::Call(call) => call.reply(outcome.map(drop).map_err(unavailable)),
        // The caller may be gone.
        Job::Query { reply, .. } => {
            if let Some(answer) = outcome.unwrap_or_else(|error| Some(Err(error))) {
                drop(reply.send(answer));
            }
        }
        Job::Changes(_) | Job::LastInsertRowid(_) => {}
    }
}

fn run_alone(connection: &Connection, store: &LazyStore<'_>, job: Job) {
    match job {
        Job::Call(mut call) => {
            let outcome = store.open(call.now()).map(|store| call.run(store));
            call.reply(outcome);
        }
        Job::Changes(reply) => drop(reply.send(connection.changes())),
        Job::LastInsertRowid(reply) => drop(reply.send(connection.last_insert_rowid())),
        Job::Query { statement, parameters, reply } => drop(reply.send(query(connection, &statement, &parameters))),
    }
}

enum Outcome {
    /// The answer of each job; none for a call, which keeps its own.
    Committed(Vec<Option<Result<Answer, Error>>>),
    /// It is unknown whether the commit took effect, so every caller gets an error.
    Failed(Error),
    /// Nothing took effect.
    RolledBack,
}

fn run_in_transaction(connection: &Connection, store: &LazyStore<'_>, group: &mut [Job]) -> Outcome {
    // IMMEDIATE: waits here for a write of another process, not in the middle of the transaction.
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        return Outcome::Failed(to_error(&error));
    }
    let mut answers = Vec::with_capacity(group.len());
    for job in group.iter_mut() {
        answers.push(match job {
            Job::Call(call) => {
                if let Some(store) = store.get() {
                    call.run(store);
                }
                None
            }
            Job::Query { statement, parameters, .. } => Some(query(connection, statement, parameters)),
            Job::Changes(_) | Job::LastInsertRowid(_) => None,
        });
        // Some errors, such as a full disk, roll back the whole transaction.
        if connection.is_autocommit() {
            return Outcome::RolledBack;
        }
    }
    match connection.execute_batch("COMMIT") {
        Ok(()) => Outcome::Committed(answers),
        Err(error) => {
            // If the rollback fails too, `is_autocommit` keeps later statements out of a group.
            drop(connection.execute_batch("ROLLBACK"));
            Outcome::Failed(to_error(&error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{at_once, call};
    use vouchsafe_store::UnixMilliseconds;

    type Reply = oneshot::Receiver<Result<Answer, Error>>;

    fn job(statement: &str) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        (Job::Query { statement: statement.to_owned(), parameters: vec![], reply }, receiver)
    }

    fn run_all(connection: &Connection, statements: &[&str]) -> Vec<Result<Answer, Error>> {
        let (jobs, replies): (Vec<_>, Vec<_>) = statements.iter().map(|statement| job(statement)).unzip();
        run(connection, &LazyStore::new(connection), jobs);
        replies.into_iter().map(|mut reply: Reply| reply.try_recv().expect("answered")).collect()
    }

    fn database(setup: &str) -> Connection {
        let connection = Connection::open_in_memory().expect("opens");
        connection.execute_batch(setup).expect(setup);
        connection
    }

    fn keys(connection: &Connection) -> String {
        let sql = "SELECT ifnull(group_concat(k, ','), '') FROM (SELECT k FROM t ORDER BY k)";
        connection.query_row(sql, [], |row| row.get(0)).expect("counts")
    }

    #[test]
    fn failing_statement_undoes_only_itself() {
        let connection = database("CREATE TABLE t (k TEXT PRIMARY KEY)");
        let answers = run_all(
            &connection,
            &[
                "INSERT INTO t VALUES ('a') RETURNING k",
                "INSERT INTO t VALUES ('a')",
                "INSERT INTO t VALUES ('b')",
                "nonsense",
            ],
        );
        let late: Vec<_> =
            answers.iter().map(|answer| answer.as_ref().map(|answer| answer.late.is_some()).ok()).collect();
        assert_eq!(late, [Some(false), Some(true), Some(false), None]);
        assert_eq!((keys(&connection).as_str(), connection.is_autocommit()), ("a,b", true));
    }

    type StoreReply = oneshot::Receiver<Result<bool, vouchsafe_store::Error>>;

    const NOW: UnixMilliseconds = UnixMilliseconds(1_800_000_000_000);

    /// A call that sets the pointer `name`, and answers whether it did not exist before.
    fn set(name: &'static str, value_bytes: usize) -> (Job, StoreReply) {
        let (call, answer) = call(Kind::Write, NOW, move |store, _| {
            at_once(store.pointer_compare_and_swap(name, None, "v".repeat(value_bytes)))
        });
        (Job::Call(call), answer)
    }

    fn names(connection: &Connection) -> String {
        let sql = "SELECT ifnull(group_concat(name, ','), '') FROM (SELECT name FROM pointers ORDER BY name)";
        connection.query_row(sql, [], |row| row.get(0)).expect("counts")
    }

    #[test]
    fn calls_and_statements_share_transaction() {
        let connection = database("CREATE TABLE t (k TEXT PRIMARY KEY)");
        let store = LazyStore::new(&connection);
        store.open(NOW).expect("opens");
        let (one, mut first) = set("one", 1);
        let (again, mut second) = set("one", 1);
        let (insert, mut third) = job("INSERT INTO t VALUES ('a')");
        let mut waiting = VecDeque::from([one, again, insert]);
        let mut group = next_group(&mut waiting, &store);
        assert_eq!((group.len(), waiting.len()), (3, 0));
        assert!(matches!(run_in_transaction(&connection, &store, &mut group), Outcome::Committed(_)));
        connection.execute_batch("DELETE FROM t; DELETE FROM pointers").expect("deleted");
        run(&connection, &store, group);
        assert_eq!(first.try_recv().expect("answered"), Ok(true));
        assert_eq!(second.try_recv().expect("answered"), Ok(false));
        assert!(third.try_recv().expect("answered").is_ok());
        assert_eq!((keys(&connection).as_str(), names(&connection).as_str()), ("a", "one"));
    }

    #[test]
    fn first_call_opens_store_outside_transaction() {
        let connection = database("");
        let store = LazyStore::new(&connection);
        let (jobs, replies): (VecDeque<_>, Vec<_>) = [set("one", 1), set("two", 1)].into_iter().unzip();
        let mut waiting = jobs;
        assert_eq!(next_group(&mut waiting, &store).len(), 1, "alone");
        assert_eq!(waiting.len(), 1);
        let mut waiting: VecDeque<_> = [set("one", 1).0, set("two", 1).0].into();
        run(&connection, &store, next_group(&mut waiting, &store));
        assert_eq!(next_group(&mut waiting, &store).len(), 1);
        assert_eq!(names(&connection), "one");
        drop(replies);
    }

    #[test]
    fn reruns_calls_alone_after_rollback() {
        let connection = database("");
        let store = LazyStore::new(&connection);
        store.open(NOW).expect("opens");
        let pages: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("counts");
        connection.execute_batch(&format!("PRAGMA max_page_count = {}", pages + 1)).expect("limits");
        let (jobs, replies): (Vec<_>, Vec<_>) = [set("a", 1), set("x", 60_000), set("b", 1)].into_iter().unzip();
        run(&connection, &store, jobs);
        let answers: Vec<_> = replies.into_iter().map(|mut reply| reply.try_recv().expect("answered")).collect();
        let full = Err(vouchsafe_store::Error::Unavailable(vouchsafe_store::Cause::DatabaseFull));
        assert_eq!(answers, [Ok(true), full, Ok(true)]);
        assert_eq!(names(&connection), "a,b");
    }

    #[test]
    fn call_fails_if_its_commit_does() {
        let (call, mut answer) = set("a", 1);
        reply(call, Err(Error::Io("no".into())));
        let cause = vouchsafe_store::Cause::Io("no".into());
        assert_eq!(answer.try_recv().expect("answered"), Err(vouchsafe_store::Error::Unavailable(cause)));
    }

    #[test]
    fn reruns_statements_alone_after_rollback() {
        let connection = database("CREATE TABLE t (k TEXT PRIMARY KEY, b BLOB); PRAGMA max_page_count = 6");
        let answers = run_all(
            &connection,
            &[
                "INSERT INTO t VALUES ('a', 1)",
                "INSERT INTO t VALUES ('x', zeroblob(1000000))",
                "INSERT INTO t VALUES ('b', 1)",
            ],
        );
        let full =
            |answer: &Result<Answer, Error>| matches!(answer, Ok(Answer { late: Some(Error::DatabaseFull), .. }));
        assert_eq!(answers.iter().map(full).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!((keys(&connection).as_str(), connection.is_autocommit()), ("a,b", true));
    }

    #[test]
    fn failed_commit_is_reported_to_every_caller() {
        // A deferred foreign key is only checked by COMMIT.
        let connection = database(
            "PRAGMA foreign_keys = ON; CREATE TABLE p (k TEXT PRIMARY KEY);
             CREATE TABLE t (k TEXT PRIMARY KEY REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO p VALUES ('a')",
        );
        let answers = run_all(&connection, &["INSERT INTO t VALUES ('a')", "INSERT INTO t VALUES ('orphan')"]);
        assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Io(text)) if text.contains("FOREIGN KEY"))));
        assert_eq!((keys(&connection).as_str(), connection.is_autocommit()), ("", true));
    }

    #[test]
    fn groups_keep_order_and_contain_only_plain_statements() {
        let statements = [
            "SELECT 1",
            "insert into t",
            "PRAGMA x",
            "BEGIN",
            "WITH a AS (SELECT 1) DELETE FROM t",
            " UPDATE t",
            "-- c\nSELECT 1",
        ];
        let mut waiting: VecDeque<Job> = statements.iter().map(|statement| job(statement).0).collect();
        let connection = database("");
        let store = LazyStore::new(&connection);
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            sizes.push(next_group(&mut waiting, &store).len());
        }
        assert_eq!(sizes, [2, 1, 1, 2, 1]);
        let mut many: VecDeque<Job> = (0..=STATEMENTS_MAX).map(|_| job("INSERT").0).collect();
        let [first, second] = [0; 2].map(|_| next_group(&mut many, &store).len());
        assert_eq!((first, second), (STATEMENTS_MAX, 1));
    }
}
