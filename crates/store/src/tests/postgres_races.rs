//! What only happens on PostgreSQL: several connections write at the same time, and the database may be replaced.

use super::postgres::{Connection, Postgres};
use super::*;
use crate::audit_row::AuditRow;
use crate::consume_row::ConsumeRow;
use crate::statements;
use std::sync::Barrier;
use std::sync::mpsc;
use std::time::Duration;

/// Long enough for a statement that waits for nobody.
const NOT_WAITING: Duration = Duration::from_millis(300);

fn token(jti: &str, generation: Option<u64>) -> AuditRecord {
    AuditRecord {
        decision_id: jti.into(),
        decided_at_ms: NOW.0,
        slug: "issued".into(),
        issuer_name: "github".into(),
        subject: "a".into(),
        expires_at: NOW_SECONDS + 300,
        generation: generation.map(|number| Generation { of: "g".into(), number }),
        ..AuditRecord::default()
    }
}

fn record(store: &Store<Connection>, entry: AuditRecord) -> Recorded {
    done(store.record(entry, NOW, &mut unlimited())).unwrap()
}

fn run(connection: &Connection, sql: &str) {
    connection.query(sql, vec![]).unwrap();
}

/// Records `entry` on its own connection while `change` is not committed, and returns the outcome after the commit.
fn record_during(scene: &Postgres, change: &str, entry: AuditRecord) -> Recorded {
    let other = scene.connect();
    run(&other, "BEGIN");
    run(&other, change);
    std::thread::scope(|scope| {
        let (answer, wait) = mpsc::channel();
        scope.spawn(move || {
            let store = scene.open();
            drop(answer.send(record(&store, entry)));
        });
        let early = wait.recv_timeout(NOT_WAITING);
        assert!(early.is_err(), "must wait for the change, but answered {early:?}");
        run(&other, "COMMIT");
        wait.recv().unwrap()
    })
}

#[test]
fn record_waits_for_a_generation_that_is_raised() {
    let scene = Postgres::new();
    assert_eq!(record(&scene.open(), token("first", Some(1))), Recorded::Written);
    let raise = "UPDATE generations SET highest = 2 WHERE name = 'g'";
    assert_eq!(record_during(&scene, raise, token("second", Some(1))), Recorded::Superseded);
    assert_eq!(scene.connect().column("SELECT decision_id FROM audit"), ["first"]);
}

#[test]
fn record_waits_for_a_revocation_that_is_added() {
    let scene = Postgres::new();
    let add = "INSERT INTO revocations (id, subject, created_at, actor, actor_decision_id, reason) \
        VALUES ('r', 'a', 1, 'ops', 'd', '')";
    assert_eq!(record_during(&scene, add, token("first", None)), Recorded::Revoked);
    assert_eq!(scene.connect().count("audit"), 0);
}

#[test]
fn revocation_waits_for_a_token_that_is_recorded() {
    let scene = Postgres::new();
    let recording = scene.connect();
    let row = AuditRow::new(token("first", None), NOW).unwrap();
    let insert = crate::postgres::audit::insert(&[row]);
    run(&recording, "BEGIN");
    recording.query(&insert.sql, insert.parameters).unwrap();
    std::thread::scope(|scope| {
        let (answer, wait) = mpsc::channel();
        let scene = &scene;
        scope.spawn(move || {
            let store = scene.open();
            let target = RevocationTarget::Blocked(super::revocations::of_subject("a"));
            let added = done(store.add_revocation("r", target.clone(), super::revocations::by("ops"), NOW)).unwrap();
            assert!(matches!(added, Added::InForce(_)), "{added:?}");
            answer.send(done(store.count_revoked(target, NOW)).unwrap().tokens).unwrap();
        });
        assert!(wait.recv_timeout(NOT_WAITING).is_err(), "must wait for the record");
        run(&recording, "COMMIT");
        assert_eq!(wait.recv().unwrap(), 1, "the token is among those that it revokes");
    });
}

#[test]
fn racing_first_tokens_of_generations_leave_the_highest() {
    const THREADS: u64 = 8;
    let scene = Postgres::new();
    let start = Barrier::new(usize::try_from(THREADS).unwrap());
    std::thread::scope(|scope| {
        for number in 1..=THREADS {
            let (scene, start) = (&scene, &start);
            scope.spawn(move || {
                let store = scene.open();
                start.wait();
                let recorded = record(&store, token(&number.to_string(), Some(number)));
                assert!(matches!(recorded, Recorded::Written | Recorded::Superseded), "{recorded:?}");
            });
        }
    });
    assert_eq!(done(scene.open().generation_get("g")), Ok(Some(THREADS)));
}

/// Batches with the same keys in any order neither deadlock nor let a key be fresh twice.
#[test]
fn unsorted_batches_use_each_key_once() {
    const RACERS: usize = 12;
    const KEYS: usize = 100;
    let scene = Postgres::new();
    let start = Barrier::new(RACERS);
    let fresh = std::thread::scope(|scope| {
        let race = |racer: usize| {
            let (scene, start) = (&scene, &start);
            move || {
                let connection = scene.connect();
                // Each racer begins elsewhere, and every other one goes backwards.
                let mut keys: Vec<_> = (0..KEYS).map(|key| (key + racer * 7) % KEYS).collect();
                if racer.is_multiple_of(2) {
                    keys.reverse();
                }
                let row = |key| ConsumeRow::new(&format!("k{key}"), 1, NOW_SECONDS, KEEP_UNTIL, 0).unwrap();
                let rows: Vec<_> = keys.into_iter().map(row).collect();
                start.wait();
                done(connection.run(statements::consume(Dialect::Postgres, rows))).unwrap().len()
            }
        };
        let racers: Vec<_> = (0..RACERS).map(|racer| scope.spawn(race(racer))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum::<usize>()
    });
    assert_eq!(fresh, KEYS);
}

#[test]
fn same_key_never_shares_a_statement() {
    let together = statements::consume_together(Dialect::Postgres);
    let row = |key| ConsumeRow::new(key, 1, NOW_SECONDS, KEEP_UNTIL, 0).unwrap();
    assert!(!together(&vec![row("b"), row("a")], &vec![row("a")]));
    assert!(together(&vec![row("a")], &vec![row("b"), row("c")]));
}

#[test]
fn refusals_of_one_issuer_never_share_a_statement() {
    let together = crate::audit::together(Dialect::Postgres);
    let row = |issuer: &str, key: Option<&str>| {
        let refused = key.map(|key| Refused { kind: RefusedKind::Denial, key: key.into() });
        let record = AuditRecord { issuer_name: issuer.into(), refused, ..token(issuer, None) };
        AuditRow::new(record, NOW).unwrap()
    };
    assert!(!together(&row("a", Some("k")), &row("a", Some("l"))), "they may be counted for the issuer");
    assert!(!together(&row("a", Some("k")), &row("b", Some("k"))), "they may be counted for the token");
    assert!(together(&row("a", Some("k")), &row("b", Some("l"))));
    assert!(together(&row("a", Some("k")), &row("a", None)));
}

#[test]
fn text_with_a_null_character_is_recorded() {
    let scene = Postgres::new();
    let entry = AuditRecord { subject: "a\0b".into(), ..token("first", None) };
    assert_eq!(record(&scene.open(), entry), Recorded::Written);
    assert_eq!(scene.connect().column("SELECT subject FROM audit"), ["a\u{fffd}b"]);
}

fn alive(scene: &Postgres) -> Continuity {
    done(keep_alive(&scene.connect(), UnixMilliseconds(0))).unwrap()
}

fn use_key(store: &Store<Connection>, key: &str, issued_at: u64) -> Consumption {
    done(store.consume(key, 1, issued_at, KEEP_UNTIL, NOW, &mut unlimited())).unwrap()
}

/// The row of a promoted standby, of a restored backup and of a loaded dump names another incarnation.
#[test]
fn other_incarnation_refuses_earlier_tokens() {
    let scene = Postgres::new();
    let store = scene.open();
    assert_eq!(alive(&scene), Continuity::Unbroken);
    assert_eq!(use_key(&store, "used", NOW_SECONDS), Consumption::Fresh);
    run(&scene.connect(), "UPDATE mark SET incarnation = 'before'");
    assert_eq!(use_key(&store, "a", NOW_SECONDS + 3600), Consumption::PredatesStore, "not marked yet");
    assert_eq!(alive(&scene), Continuity::Replaced);
    assert_eq!(alive(&scene), Continuity::Unbroken, "said once");
    // An issuer's clock may be 60 s ahead.
    assert_eq!(use_key(&store, "a", NOW_SECONDS + 59), Consumption::PredatesStore);
    assert_eq!(use_key(&store, "a", NOW_SECONDS + 60), Consumption::Fresh);
    assert_eq!(use_key(&store, "used", NOW_SECONDS), Consumption::Spent);
}

#[test]
fn gap_by_the_databases_clock_refuses_earlier_tokens() {
    let scene = Postgres::new();
    let store = scene.open();
    assert_eq!(alive(&scene), Continuity::Unbroken);
    for (seconds, fresh) in [(15, true), (16, false)] {
        scene.set_clock(later(seconds));
        let expected = if fresh { Consumption::Fresh } else { Consumption::PredatesStore };
        assert_eq!(use_key(&store, &seconds.to_string(), NOW_SECONDS), expected, "{seconds}");
    }
    assert_eq!(alive(&scene), Continuity::Broken { last_in_use: NOW_SECONDS });
    assert_eq!(use_key(&store, "a", NOW_SECONDS + 15), Consumption::PredatesStore);
    assert_eq!(use_key(&store, "a", NOW_SECONDS + 16), Consumption::Fresh);
}

/// A host whose clock is ahead must not forget what others still accept.
#[test]
fn sweeps_by_the_databases_clock() {
    let scene = Postgres::new();
    let store = scene.open();
    assert_eq!(use_key(&store, "a", NOW_SECONDS), Consumption::Fresh);
    let sweep = |ahead: u64| done(store.sweep_sometimes(UnixMilliseconds(later(ahead).0 / 64 * 64)));
    for ahead in [0, 100_000] {
        for _ in 0..crate::store::WRITES_PER_SWEEP {
            sweep(ahead);
        }
    }
    assert_eq!(use_key(&store, "a", NOW_SECONDS), Consumption::Spent);
    // By a clock that is behind, the swept key would seem acceptable.
    scene.set_clock(later(3600 + 301));
    for _ in 0..crate::store::WRITES_PER_SWEEP {
        sweep(100_000);
    }
    assert_eq!(scene.connect().count("consumed"), 0);
    assert_eq!(use_key(&store, "a", NOW_SECONDS), Consumption::PredatesStore);
}

fn opened(scene: &Postgres, change: &str) -> Option<Error> {
    let connection = scene.connect();
    run(&connection, change);
    done(Store::open(connection, NOW)).err()
}

#[test]
fn refuses_unsuitable_schemas_and_settings() {
    let scene = Postgres::new();
    let set = |oldest: u64, found: u64| {
        format!(
            "UPDATE meta SET value = CASE name WHEN 'schema' THEN {found} ELSE {oldest} END WHERE name LIKE 'schema%'"
        )
    };
    let unavailable = |cause| Some(Error::Unavailable(cause));
    let version = |found| unavailable(Cause::SchemaVersion { found, expected: 3 });
    assert_eq!(opened(&scene, &set(2, 3)), None);
    assert_eq!(opened(&scene, &set(3, 4)), None, "a migration under running programs");
    assert_eq!(opened(&scene, &set(4, 5)), version(5));
    assert_eq!(opened(&scene, &set(1, 2)), version(2));
    assert_eq!(opened(&scene, &set(2, 3)), None);
    assert_eq!(opened(&scene, "SET synchronous_commit = off"), unavailable(Cause::NotDurable));
    assert_eq!(opened(&scene, "SET synchronous_commit = local"), unavailable(Cause::NotDurable));
    let serializable = "SET default_transaction_isolation = 'serializable'";
    assert_eq!(opened(&scene, serializable), unavailable(Cause::NotDurable));
    assert_eq!(opened(&scene, "SET search_path = pg_catalog"), unavailable(Cause::SchemaMissing));
}

#[test]
fn makes_partitions_in_advance_once() {
    let scene = Postgres::new();
    let connection = scene.connect();
    run(&connection, "DROP TABLE audit_of_tests");
    let make = |ahead: u32| connection.column(&format!("SELECT create_partitions({ahead})"));
    assert_eq!((make(2), make(2), make(3)), (vec!["4".to_owned()], vec!["0".to_owned()], vec!["1".to_owned()]));
    // NOW is in January 2027: the partitions are those of December to April.
    let edge = |ms: u64| {
        let record = AuditRecord { decided_at_ms: ms, ..token(&ms.to_string(), None) };
        done(scene.open().record(record, NOW, &mut unlimited()))
    };
    const DECEMBER: u64 = 1_796_083_200_000;
    const MAY: u64 = 1_809_129_600_000;
    for (ms, written) in [(DECEMBER - 1, false), (DECEMBER, true), (MAY - 1, true), (MAY, false)] {
        let expected = if written { Ok(Recorded::Written) } else { Err(Error::Unavailable(Cause::Io("23514".into()))) };
        assert_eq!(edge(ms), expected, "{ms}");
    }
}
