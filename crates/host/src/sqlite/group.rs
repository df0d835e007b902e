//! Group commit: statements that wait for the connection at the same time share one transaction.
//!
//! A durable commit costs a flush of the disk, and one flush can serve many. To each caller it
//! looks as if its statement had run alone: it is answered after the commit only, a statement that
//! fails undoes only itself, and where the transaction is lost every statement runs again alone.

use super::{Answer, Error, Value, query, to_error};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// Most statements in one transaction.
const STATEMENTS_MAX: usize = 64;

/// What the connection's thread is asked to do.
pub enum Job {
    Changes(oneshot::Sender<u64>),
    LastInsertRowid(oneshot::Sender<i64>),
    Query {
        statement: String,
        parameters: Vec<Value>,
        reply: oneshot::Sender<Result<Answer, Error>>,
    },
}

/// Which company a statement bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alone,
    Read,
    Write,
}

impl Job {
    fn kind(&self) -> Kind {
        match self {
            Self::Changes(_) | Self::LastInsertRowid(_) => Kind::Alone,
            Self::Query { statement, .. } => kind(statement),
        }
    }
}

/// By the first word: what is not known to be a plain read or write (`PRAGMA`, `BEGIN`, `VACUUM`,
/// `CREATE`, a comment) runs alone.
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

/// Works until every sender is gone.
pub fn work(connection: &Connection, jobs: &Receiver<Job>) {
    let mut waiting = VecDeque::new();
    while let Ok(job) = jobs.recv() {
        waiting.push_back(job);
        while !waiting.is_empty() {
            waiting.extend(jobs.try_iter());
            run(connection, next_group(&mut waiting));
        }
    }
}

/// Takes the jobs that run next: in the order in which they came, as many as may go together.
fn next_group(waiting: &mut VecDeque<Job>) -> Vec<Job> {
    let together = waiting
        .iter()
        .take(STATEMENTS_MAX)
        .take_while(|job| job.kind() != Kind::Alone)
        .count();
    waiting
        .drain(..together.max(1).min(waiting.len()))
        .collect()
}

fn run(connection: &Connection, group: Vec<Job>) {
    let writes = group.iter().filter(|job| job.kind() == Kind::Write).count();
    // A guest that left a transaction open has every following statement in it, as on Spin.
    if writes < 2 || !connection.is_autocommit() {
        group.into_iter().for_each(|job| run_alone(connection, job));
        return;
    }
    match run_together(connection, &group) {
        Together::Committed(answers) => {
            for (job, answer) in group.into_iter().zip(answers) {
                reply(job, answer);
            }
        }
        Together::Failed(error) => group
            .into_iter()
            .for_each(|job| reply(job, Err(error.clone()))),
        Together::RolledBack => group.into_iter().for_each(|job| run_alone(connection, job)),
    }
}

fn reply(job: Job, answer: Result<Answer, Error>) {
    if let Job::Query { reply, .. } = job {
        // A caller that went away does not want to know.
        drop(reply.send(answer));
    }
}

fn run_alone(connection: &Connection, job: Job) {
    match job {
        Job::Changes(reply) => drop(reply.send(connection.changes())),
        Job::LastInsertRowid(reply) => drop(reply.send(connection.last_insert_rowid())),
        Job::Query {
            statement,
            parameters,
            reply,
        } => drop(reply.send(query(connection, &statement, &parameters))),
    }
}

enum Together {
    Committed(Vec<Result<Answer, Error>>),
    /// Nobody knows whether the commit holds: every caller is told that it may not believe it.
    Failed(Error),
    /// Nothing took effect.
    RolledBack,
}

fn run_together(connection: &Connection, group: &[Job]) -> Together {
    // IMMEDIATE: another process's write is waited for here, not in the middle.
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        return Together::Failed(to_error(&error));
    }
    let mut answers = Vec::with_capacity(group.len());
    for job in group {
        if let Job::Query {
            statement,
            parameters,
            ..
        } = job
        {
            answers.push(query(connection, statement, parameters));
        }
        // A full disk, for one, ends the transaction and not only the statement.
        if connection.is_autocommit() {
            return Together::RolledBack;
        }
    }
    match connection.execute_batch("COMMIT") {
        Ok(()) => Together::Committed(answers),
        Err(error) => {
            // Where the rollback fails too, `is_autocommit` keeps later groups apart.
            drop(connection.execute_batch("ROLLBACK"));
            Together::Failed(to_error(&error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reply = oneshot::Receiver<Result<Answer, Error>>;

    fn job(statement: &str) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        (
            Job::Query {
                statement: statement.to_owned(),
                parameters: vec![],
                reply,
            },
            receiver,
        )
    }

    fn run_all(connection: &Connection, statements: &[&str]) -> Vec<Result<Answer, Error>> {
        let (jobs, replies): (Vec<_>, Vec<_>) =
            statements.iter().map(|statement| job(statement)).unzip();
        run(connection, jobs);
        replies
            .into_iter()
            .map(|mut reply: Reply| reply.try_recv().expect("answered"))
            .collect()
    }

    fn database(setup: &str) -> Connection {
        let connection = Connection::open_in_memory().expect("opens");
        connection.execute_batch(setup).expect(setup);
        connection
    }

    fn keys(connection: &Connection) -> String {
        let sql = "SELECT ifnull(group_concat(k, ','), '') FROM (SELECT k FROM t ORDER BY k)";
        connection
            .query_row(sql, [], |row| row.get(0))
            .expect("counts")
    }

    #[test]
    fn a_statement_that_fails_undoes_only_itself() {
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
        let late: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().map(|answer| answer.late.is_some()).ok())
            .collect();
        assert_eq!(late, [Some(false), Some(true), Some(false), None]);
        assert_eq!(
            (keys(&connection).as_str(), connection.is_autocommit()),
            ("a,b", true)
        );
    }

    #[test]
    fn where_the_transaction_is_lost_every_statement_runs_again_alone() {
        let connection =
            database("CREATE TABLE t (k TEXT PRIMARY KEY, b BLOB); PRAGMA max_page_count = 6");
        let answers = run_all(
            &connection,
            &[
                "INSERT INTO t VALUES ('a', 1)",
                "INSERT INTO t VALUES ('x', zeroblob(1000000))",
                "INSERT INTO t VALUES ('b', 1)",
            ],
        );
        let full = |answer: &Result<Answer, Error>| {
            matches!(
                answer,
                Ok(Answer {
                    late: Some(Error::DatabaseFull),
                    ..
                })
            )
        };
        assert_eq!(
            answers.iter().map(full).collect::<Vec<_>>(),
            [false, true, false]
        );
        assert_eq!(
            (keys(&connection).as_str(), connection.is_autocommit()),
            ("a,b", true)
        );
    }

    #[test]
    fn a_failed_commit_is_told_to_every_caller_of_the_group() {
        // A deferred foreign key is checked by COMMIT alone.
        let connection = database(
            "PRAGMA foreign_keys = ON; CREATE TABLE p (k TEXT PRIMARY KEY);
             CREATE TABLE t (k TEXT PRIMARY KEY REFERENCES p DEFERRABLE INITIALLY DEFERRED); INSERT INTO p VALUES ('a')",
        );
        let answers = run_all(
            &connection,
            &[
                "INSERT INTO t VALUES ('a')",
                "INSERT INTO t VALUES ('orphan')",
            ],
        );
        assert!(
            answers.iter().all(
                |answer| matches!(answer, Err(Error::Io(text)) if text.contains("FOREIGN KEY"))
            )
        );
        assert_eq!(
            (keys(&connection).as_str(), connection.is_autocommit()),
            ("", true)
        );
    }

    #[test]
    fn groups_keep_the_order_and_hold_plain_statements_only() {
        let statements = [
            "SELECT 1",
            "insert into t",
            "PRAGMA x",
            "BEGIN",
            "WITH a AS (SELECT 1) DELETE FROM t",
            " UPDATE t",
            "-- c\nSELECT 1",
        ];
        let mut waiting: VecDeque<Job> = statements
            .iter()
            .map(|statement| job(statement).0)
            .collect();
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            sizes.push(next_group(&mut waiting).len());
        }
        assert_eq!(sizes, [2, 1, 1, 2, 1]);
        let mut many: VecDeque<Job> = (0..=STATEMENTS_MAX).map(|_| job("INSERT").0).collect();
        assert_eq!(
            (next_group(&mut many).len(), next_group(&mut many).len()),
            (STATEMENTS_MAX, 1)
        );
    }
}
