//! What `verify` finds in a database that was changed afterwards.

use super::database::Database;
use super::finding::Finding;
use super::report::{Kept, Report};
use super::rows::Counts;
use super::verify::check;
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use std::future::{Future, pending};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use vouchsafe_signer::{Config, ENTROPY_BYTES, Entropy, Root, Signer, Variables};
use vouchsafe_store::{
    AuditRecord, Cause, Deadline, Dialect, Error, LogProof, Row, Statement, Store, UnixMilliseconds, Value,
    log_pointer_name,
};
use vouchsafe_tlog::{Checkpoint, Note, Policy};

const NOW: UnixMilliseconds = UnixMilliseconds(1_800_000_000_000);
const LOG: u64 = 1_800_000_000;

struct Sqlite(Connection);

impl vouchsafe_store::Database for Sqlite {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = ();

    fn alarm(&self) -> ((), impl Future<Output = ()>) {
        ((), pending())
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        query(&self.0, statement).map_err(|error| Error::Unavailable(Cause::Io(error.to_string())))
    }
}

fn query(connection: &Connection, statement: Statement) -> rusqlite::Result<Vec<Row>> {
    let parameters = statement.parameters.into_iter().map(|value| match value {
        Value::Integer(number) => Sql::Integer(number),
        Value::Text(text) => Sql::Text(text),
        Value::Blob(_) | Value::Null | Value::Real(_) => Sql::Null,
    });
    let mut prepared = connection.prepare(&statement.sql)?;
    let columns = prepared.column_count();
    let rows = prepared.query_map(rusqlite::params_from_iter(parameters), |row| {
        let column = |place: usize| {
            Ok(match row.get::<_, Sql>(place)? {
                Sql::Integer(number) => Value::Integer(number),
                Sql::Text(text) => Value::Text(text),
                Sql::Blob(_) | Sql::Null | Sql::Real(_) => Value::Null,
            })
        };
        (0..columns).map(column).collect()
    })?;
    rows.collect()
}

fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("the database never waits"),
    }
}

fn signer() -> Signer {
    let mut variables = Variables {
        development: "false".to_owned(),
        issuer: "https://broker.example".to_owned(),
        signer_algorithms: "EdDSA".to_owned(),
        signer_audiences: "https://deploy.example".to_owned(),
        signer_epoch: "3600".to_owned(),
        signer_generation: "1".to_owned(),
        signer_group: "default".to_owned(),
        signer_lifetime_max: "900".to_owned(),
        ..Variables::default()
    };
    variables.signer_root.push_str(&"A".repeat(43));
    let config = Config::parse(&variables).expect("a configuration");
    Signer::new(config, Root::parse(&variables).expect("a root"), &vouchsafe_crypto::Software)
}

/// A database with the decisions `d0` to `d5` in its log, and the checkpoint.
struct Scene {
    path: PathBuf,
    policy: Policy,
    kept: Checkpoint,
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(self.path.parent().expect("a folder")));
    }
}

fn scene() -> Scene {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("vouchsafe-audit-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("made");
    let path = folder.join("sqlite.db");
    let store = done(Store::open(Sqlite(Connection::open(&path).expect("opens")), NOW)).expect("a store");
    for number in 0..6_u64 {
        let record = AuditRecord {
            decision_id: format!("d{number}"),
            decided_at_ms: NOW.0,
            slug: "issued".to_owned(),
            subject: format!("repo:acme/app-{number}"),
            kid: "k".to_owned(),
            salt: (number, 2, 3, 4),
            ..AuditRecord::default()
        };
        done(store.record(record, NOW, &mut Deadline::new(pending()))).expect("recorded");
    }
    let head = done(store.log_grow(true, NOW)).expect("grows").expect("a head");
    let entropy = Entropy::from_bytes([7; ENTROPY_BYTES]);
    let note = signer().sign_checkpoint(head.log, head.size, &head.root, &entropy).expect("signed");
    let name = log_pointer_name(head.log);
    assert_eq!(done(store.pointer_compare_and_swap(&name, head.revision, note.clone())), Ok(true));
    assert!(matches!(done(store.log_proof("d3")), Ok(LogProof::Included(_))));
    let policy = format!("log {}\nquorum none\n", signer().log_key(LOG).expect("a key"));
    let kept = Checkpoint::parse(Note::parse(&note).expect("a note").text()).expect("a checkpoint");
    Scene { path, policy: Policy::parse(&policy).expect("a policy"), kept }
}

/// The report of a database after `change`.
fn after(change: &str, with_kept: bool) -> Report {
    let scene = scene();
    Connection::open(&scene.path).expect("opens").execute_batch(change).expect(change);
    let kept = Kept { checkpoint: scene.kept.clone(), from: "kept".to_owned(), witnesses: vec![] };
    let kept = if with_kept { vec![kept] } else { vec![] };
    check(&Database::read(&scene.path).expect("reads"), &scene.policy, &kept).expect("checks")
}

fn id(number: u64) -> String {
    format!("d{number}")
}

fn edited(number: u64) -> Finding {
    Finding::Edited { log: LOG, index: number, decision_id: id(number) }
}

fn swapped(number: u64, with: u64) -> Finding {
    Finding::Swapped { decision_id: id(number), log: LOG, index: with }
}

const CUT: &str = "DELETE FROM audit WHERE seq > 4; DELETE FROM log_leaves WHERE seq > 4";
const COPY: &str = "INSERT INTO audit (decision_id, decided_at_ms, outcome, slug, bundle_digest, determining_rules, \
    erring_rules, cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, \
    timings, salt, leaf) SELECT 'new', decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules, \
    cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings, ";

#[test]
fn finds_nothing_in_an_unchanged_database() {
    let report = after("", true);
    assert_eq!(report.findings, []);
    assert_eq!(report.counts, Some(Counts { verified: 6, ..Counts::default() }));
    assert_eq!(report.leaves, [(LOG, 6)].into());
}

#[test]
fn names_each_changed_record() {
    let database = || "the database".to_owned();
    let forged =
        Finding::Signature { from: database(), why: format!("the signature of `broker.example/log/{LOG}` is wrong") };
    for (change, expected) in [
        ("UPDATE audit SET subject = 'x' WHERE seq = 2".to_owned(), vec![edited(1)]),
        ("UPDATE audit SET expires_at = 9 WHERE seq = 2".to_owned(), vec![edited(1)]),
        ("UPDATE audit SET salt = NULL WHERE seq = 2".to_owned(), vec![edited(1)]),
        // Counters are not committed to.
        ("UPDATE audit SET repeats = 9, last_at_ms = 9 WHERE seq = 2".to_owned(), vec![]),
        (
            "DELETE FROM audit WHERE seq = 3".to_owned(),
            vec![Finding::Deleted { log: LOG, index: 2, decision_id: id(2) }],
        ),
        (
            "UPDATE audit SET seq = CASE seq WHEN 1 THEN -2 ELSE -1 END WHERE seq < 3; \
             UPDATE audit SET seq = -seq WHERE seq < 0"
                .to_owned(),
            vec![swapped(1, 0), swapped(0, 1)],
        ),
        (
            "UPDATE audit SET decision_id = decision_id || '-' WHERE seq < 3; \
             UPDATE audit SET decision_id = CASE seq WHEN 1 THEN 'd1' ELSE 'd0' END WHERE seq < 3"
                .to_owned(),
            vec![swapped(1, 0), swapped(0, 1)],
        ),
        (
            format!("{COPY} salt, leaf FROM audit WHERE seq = 1"),
            vec![Finding::Inserted { seq: 7, decision_id: "new".to_owned() }],
        ),
        (
            format!("{COPY} NULL, NULL FROM audit WHERE seq = 1"),
            vec![Finding::Unlogged { seq: 7, decision_id: "new".to_owned() }],
        ),
        (
            format!("{COPY} NULL, NULL FROM audit WHERE seq = 1; UPDATE meta SET value = 99 WHERE name = 'log_from'"),
            vec![Finding::Unlogged { seq: 7, decision_id: "new".to_owned() }],
        ),
        (
            "UPDATE log_leaves SET hash = (SELECT hash FROM log_leaves WHERE log_index = 1) WHERE log_index = 0"
                .to_owned(),
            vec![edited(0), Finding::Checkpoint { log: LOG, size: 6, from: database() }],
        ),
        (
            "UPDATE pointers SET value = replace(value, char(10) || '6' || char(10), char(10) || '7' || char(10))"
                .to_owned(),
            vec![forged],
        ),
        (CUT.to_owned(), vec![Finding::Truncated { log: LOG, size: 6, leaves: 4, from: database() }]),
        (
            "DELETE FROM audit WHERE seq = 4; DELETE FROM log_leaves WHERE seq = 4".to_owned(),
            vec![
                Finding::Gap { log: LOG, index: 3 },
                Finding::Truncated { log: LOG, size: 6, leaves: 3, from: database() },
            ],
        ),
        (
            format!("INSERT INTO log_tiles VALUES ({LOG}, 1, 0, 'AAAA')"),
            vec![Finding::Tile { log: LOG, level: 1, index: 0 }],
        ),
    ] {
        assert_eq!(after(&change, false).findings, expected, "{change}");
    }
}

/// Once the checkpoint in the database is gone too, nothing there shows that the end was cut off.
#[test]
fn only_a_kept_checkpoint_shows_a_cut_end() {
    let cut = format!("{CUT}; DELETE FROM pointers WHERE name LIKE 'log/%'");
    assert_eq!(after(&cut, false).findings, []);
    let truncated = Finding::Truncated { log: LOG, size: 6, leaves: 4, from: "kept".to_owned() };
    assert_eq!(after(&cut, true).findings, [truncated]);
}
