//! Recording and counting of refusals.

use super::*;

on_both! {
    bounds_the_rows_of_an_issuers_many_subjects
    counted_repeats_count_towards_the_limit
    counts_a_fourth_refusal_on_the_third
    keys_and_subjects_do_not_collide
    limit_restarts_each_minute
    limited_subject_of_busy_issuer_adds_no_row
    limits_the_refusals_of_a_subject_per_minute
    old_minutes_are_swept
    one_subject_counts_sixty_times_for_its_issuer
    outages_and_denials_are_counted_separately
}

/// The first millisecond of a minute, with no part of a second.
const MINUTE: UnixMilliseconds = UnixMilliseconds(1_800_000_000_000);
const MINUTE_ENDS: u64 = 1_800_000_060;
const LIMIT: u64 = REFUSALS_PER_MINUTE_MAX;

fn refusal(kind: RefusedKind, decision_id: &str, key: &str) -> AuditRecord {
    AuditRecord {
        decision_id: decision_id.into(),
        decided_at_ms: MINUTE.0,
        refused: Some(Refused { kind, key: key.into() }),
        slug: "policy.denied".into(),
        issuer_name: "github".into(),
        subject: "repo:acme/app".into(),
        ..AuditRecord::default()
    }
}

fn denial(decision_id: &str, key: &str) -> AuditRecord {
    refusal(RefusedKind::Denial, decision_id, key)
}

fn record_at(store: &Store<impl Database<Alarm = Bell>>, entry: AuditRecord, now: UnixMilliseconds) -> Recorded {
    done(store.record(entry, now, &mut unlimited())).unwrap()
}

fn record(store: &Store<impl Database<Alarm = Bell>>, entry: AuditRecord) -> Recorded {
    record_at(store, entry, MINUTE)
}

fn counted(decision_id: &str) -> Recorded {
    let decision_id = decision_id.into();
    Recorded::Counted(decision_id)
}

fn limited(decision_id: &str) -> Recorded {
    Recorded::Limited(Limited { decision_id: decision_id.into(), until: MINUTE_ENDS })
}

/// `LIMIT` denials of as many tokens.
fn reach_the_limit(store: &Store<impl Database<Alarm = Bell>>) {
    for number in 0..LIMIT {
        let id = format!("first-{number}");
        assert_eq!(record(store, denial(&id, &id)), Recorded::Written, "{id}");
    }
}

/// How many refusals each record of `database` represents.
fn refusals_on_record(database: &Rusqlite) -> Vec<String> {
    database.column("SELECT sum(1 + repeats) FROM audit WHERE refused IS NOT NULL")
}

fn counts_a_fourth_refusal_on_the_third<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for id in ["a", "b", "c"] {
        assert_eq!(record(&store, denial(id, "token")), Recorded::Written);
    }
    let later = UnixMilliseconds(MINUTE.0 + 1500);
    for id in ["d", "e"] {
        assert_eq!(record_at(&store, denial(id, "token"), later), counted("c"), "{id}");
    }
    assert_eq!(record(&store, denial("f", "other")), Recorded::Written);
    let rows = file.connect().column(&format!(
        "SELECT decision_id || ' ' || repeats || ' ' || last_at_ms || ' ' || coalesce(last_decision_id, '-') \
         FROM {} ORDER BY seq",
        S::RECORDS
    ));
    let at = MINUTE.0;
    assert_eq!(
        rows,
        [format!("a 0 {at} -"), format!("b 0 {at} -"), format!("c 2 {} e", at + 1500), format!("f 0 {at} -"),]
    );
}

fn bounds_the_rows_of_an_issuers_many_subjects<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let of = |number: u64, id: &str| AuditRecord { subject: format!("repo:acme/{number}"), ..denial(id, id) };
    for number in 0..REFUSALS_PER_ISSUER_MAX {
        let id = format!("in-full-{number}");
        assert_eq!(record(&store, of(number, &id)), Recorded::Written, "{id}");
    }
    // The first beyond the limit is the record of all that follow in this minute, whatever their subjects.
    assert_eq!(record(&store, of(700, "many")), Recorded::Written);
    assert_eq!(record(&store, of(701, "x")), counted("many"));
    assert_eq!(record(&store, of(0, "y")), counted("many"));
    let elsewhere = AuditRecord { issuer_name: "gitlab".into(), ..of(700, "gitlab") };
    assert_eq!(record(&store, elsewhere), Recorded::Written);
    let outage = refusal(RefusedKind::Outage, "outage", "o");
    assert_eq!(record(&store, outage), Recorded::Written);
    let next = UnixMilliseconds(MINUTE.0 + 60_000);
    let fresh = record_at(&store, of(700, "next"), next);
    assert_eq!(fresh, Recorded::Written);
    let rows = file.connect().count("audit");
    assert_eq!(rows, REFUSALS_PER_ISSUER_MAX + 4);
}

/// One subject can't use up the limit of its issuer's other subjects.
fn one_subject_counts_sixty_times_for_its_issuer<S: Scene>() {
    let file = S::new();
    let store = file.open();
    reach_the_limit(&store);
    for number in 0..REFUSALS_PER_ISSUER_MAX {
        let id = format!("over-{number}");
        let expected = match record(&store, denial(&id, &id)) {
            Recorded::Limited(Limited { decision_id, .. }) => decision_id,
            other => panic!("{other:?}"),
        };
        assert_eq!(expected, "over-0");
    }
    let other = AuditRecord { subject: "repo:acme/other".into(), ..denial("other", "other") };
    assert_eq!(record(&store, other), Recorded::Written);
}

/// A subject beyond both limits is still refused as such, and adds no row.
fn limited_subject_of_busy_issuer_adds_no_row<S: Scene>() {
    let file = S::new();
    let store = file.open();
    reach_the_limit(&store);
    for number in 0..REFUSALS_PER_ISSUER_MAX - LIMIT {
        let entry = AuditRecord {
            subject: format!("repo:acme/{number}"),
            ..denial(&format!("other-{number}"), &format!("o{number}"))
        };
        assert_eq!(record(&store, entry), Recorded::Written);
    }
    assert_eq!(record(&store, denial("first", "f")), limited("first"));
    let second = AuditRecord { subject: "repo:acme/second".into(), ..denial("second", "s") };
    assert_eq!(record(&store, second.clone()), Recorded::Written);
    // Refusals that are counted for the issuer count against no subject.
    for number in 0..=LIMIT {
        let again = AuditRecord {
            decision_id: format!("again-{number}"),
            subject: format!("repo:acme/again-{number}"),
            ..second.clone()
        };
        assert_eq!(record(&store, again), counted("second"));
    }
    assert_eq!(record(&store, denial("again", "g")), limited("first"));
    let owner = AuditRecord { decision_id: "owner".into(), ..second };
    assert_eq!(record(&store, owner), counted("second"));
}

fn limits_the_refusals_of_a_subject_per_minute<S: Scene>() {
    let file = S::new();
    let store = file.open();
    reach_the_limit(&store);
    assert_eq!(record(&store, denial("over", "k")), limited("over"));
    // This includes repeats of records from before the limit.
    assert_eq!(record(&store, denial("again", "first-0")), limited("over"));
    let elsewhere = [("gitlab", "repo:acme/app"), ("github", "repo:acme/other")];
    for (issuer, subject) in elsewhere {
        let entry = AuditRecord {
            issuer_name: issuer.into(),
            subject: subject.into(),
            ..denial(&format!("{issuer} {subject}"), "l")
        };
        assert_ne!(record(&store, entry), limited("over"), "{issuer} {subject}");
    }
    let issued = AuditRecord { refused: None, ..denial("issued", "-") };
    assert_eq!(record(&store, issued), Recorded::Written);
    assert_eq!(file.connect().count("audit"), LIMIT + 1 + 2 + 1);
    assert_eq!(file.connect().column(&format!("SELECT repeats FROM {} WHERE decision_id = 'over'", S::RECORDS)), ["1"]);
}

fn counted_repeats_count_towards_the_limit<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for number in 0..LIMIT {
        let expected = match number {
            0..3 => Recorded::Written,
            _ => counted("2"),
        };
        let entry = denial(&number.to_string(), "token");
        assert_eq!(record(&store, entry), expected, "{number}");
    }
    assert_eq!(record(&store, denial("over", "token")), limited("over"));
    assert_eq!(file.connect().count("audit"), 4);
}

fn limit_restarts_each_minute<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let end = UnixMilliseconds(MINUTE.0 + 59_999);
    let next = UnixMilliseconds(MINUTE.0 + 60_000);
    reach_the_limit(&store);
    assert_eq!(record_at(&store, denial("over", "k"), end), limited("over"));
    assert_eq!(record_at(&store, denial("next", "k"), next), Recorded::Written);
    // Keys don't depend on the minute.
    assert_eq!(record_at(&store, denial("x", "first-0"), next), Recorded::Written);
    assert_eq!(record_at(&store, denial("y", "first-0"), next), Recorded::Written);
    assert_eq!(record_at(&store, denial("z", "first-0"), next), counted("y"));
}

fn outages_and_denials_are_counted_separately<S: Scene>() {
    let file = S::new();
    let store = file.open();
    reach_the_limit(&store);
    let outage = |id: &str| refusal(RefusedKind::Outage, id, "first-0");
    for id in ["a", "b", "c"] {
        assert_eq!(record(&store, outage(id)), Recorded::Written, "{id}");
    }
    assert_eq!(record(&store, outage("d")), counted("c"));
    for number in 4..LIMIT {
        let entry = refusal(RefusedKind::Outage, &number.to_string(), "other");
        record(&store, entry);
    }
    assert_eq!(record(&store, outage("over")), limited("over"));
    assert_eq!(record(&store, denial("denied", "k")), limited("denied"));
}

/// A key can't be mistaken for a record of a limit, or vice versa.
fn keys_and_subjects_do_not_collide<S: Scene>() {
    let file = S::new();
    let store = file.open();
    reach_the_limit(&store);
    let minute = MINUTE.0 / 60_000;
    let forged = format!("over denial {minute} github repo:acme/app");
    let entry = |id: &str, key: &str| AuditRecord { subject: "repo:acme/other".into(), ..denial(id, key) };
    for (id, key) in [("a", forged.as_str()), ("b", "k"), ("c", "1 denial k")] {
        assert_eq!(record(&store, entry(id, key)), Recorded::Written, "{key}");
    }
    assert_eq!(record(&store, denial("over", "k")), limited("over"));
}

/// One statement writes many records, and none sees the others' writes.
#[test]
fn records_of_one_statement_are_counted_in_order() {
    let file = File::new();
    let database = file.open().into_database();
    let insert = |entries: &[(&str, &str, UnixMilliseconds)]| {
        let rows = entries.iter().map(|(id, key, now)| crate::audit_row::AuditRow::new(denial(id, key), *now).unwrap());
        let rows: Vec<_> = rows.collect();
        let claims: Vec<_> = rows.iter().map(crate::audit_row::AuditRow::claim).collect();
        let answer = done(database.run(crate::sqlite::audit::insert(rows))).unwrap();
        crate::sqlite::audit::recorded(&claims, answer).unwrap().into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let of_token = |ids: [&'static str; 4]| ids.map(|id| (id, "token", MINUTE));
    let written = || Recorded::Written;
    assert_eq!(insert(&of_token(["a", "b", "c", "d"])), [written(), written(), written(), counted("c")]);
    assert_eq!(insert(&of_token(["e", "f", "g", "h"])), ["c"; 4].map(counted));
    let ids: Vec<_> = (8..LIMIT - 2).map(|number| number.to_string()).collect();
    for id in &ids {
        assert_eq!(insert(&[(id, id, MINUTE)]), [written()]);
    }
    let next = UnixMilliseconds(MINUTE.0 + 60_000);
    assert_eq!(
        insert(&[
            ("i", "token", MINUTE),
            ("j", "j", MINUTE),
            ("k", "k", MINUTE),
            ("l", "token", MINUTE),
            ("m", "m", next),
        ]),
        [counted("c"), written(), limited("k"), limited("k"), written()]
    );
    assert_eq!(refusals_on_record(&database), [(LIMIT + 3).to_string()]);
}

#[test]
fn racing_connections_count_every_refusal_once() {
    const CONNECTIONS: u64 = 8;
    const EACH: u64 = 16;
    let file = File::new();
    drop(file.open());
    let answers = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..CONNECTIONS {
            let (file, answers) = (&file, &answers);
            scope.spawn(move || {
                let store = file.open();
                for number in 0..EACH {
                    // Half of them have the same token, the others each their own.
                    let id = format!("{thread}-{number}");
                    let key = if number % 2 == 0 { "shared" } else { &id };
                    let recorded = record(&store, denial(&id, key));
                    answers.lock().unwrap().push((key == "shared", recorded));
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    let over = |(_, recorded): &&(bool, Recorded)| matches!(recorded, Recorded::Limited(Limited { .. }));
    let total = CONNECTIONS * EACH;
    assert_eq!(answers.iter().filter(over).count() as u64, total - LIMIT);
    let shared_in_full = answers.iter().filter(|(shared, recorded)| *shared && *recorded == Recorded::Written).count();
    assert_eq!(shared_in_full, 3);
    assert_eq!(refusals_on_record(&file.connect()), [total.to_string()]);
    assert_eq!(file.connect().column("SELECT count FROM refusals"), [total.to_string()]);
}

fn old_minutes_are_swept<S: Scene>() {
    use crate::store::WRITES_PER_SWEEP;
    use crate::time::SWEEP_MARGIN_SECONDS;
    let file = S::new();
    let store = file.open();
    record(&store, denial("old", "old"));
    let minutes = || file.connect().column("SELECT minute FROM refusals");
    let first = MINUTE.0 / 60_000;
    // Both sides of the edge: the minute of the margin itself stays.
    for (seconds, kept) in [(59, true), (60, false)] {
        let now = UnixMilliseconds(MINUTE.0 + (SWEEP_MARGIN_SECONDS + seconds) * 1000);
        file.set_clock(now);
        for number in 0..WRITES_PER_SWEEP {
            let issued = AuditRecord { refused: None, ..denial(&format!("{seconds}-{number}"), "-") };
            record_at(&store, issued, now);
        }
        assert_eq!(minutes().contains(&first.to_string()), kept, "{seconds}");
    }
}

/// The statement of every exchange: it must not read the whole table.
#[test]
fn no_record_scans_the_audit_table() {
    let file = File::new();
    let database = file.open().into_database();
    let row = crate::audit_row::AuditRow::new(denial("a", "k"), MINUTE).unwrap();
    let statement = crate::sqlite::audit::insert(vec![row]);
    let explain = format!("EXPLAIN QUERY PLAN {}", statement.sql);
    let plan = database.query(&explain, statement.parameters).unwrap();
    let plan: Vec<_> = plan
        .into_iter()
        .map(|mut row| match row.swap_remove(3) {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        })
        .collect();
    let uses = |what: &str| plan.iter().any(|step| step.contains(what));
    assert!(uses("SEARCH audit USING COVERING INDEX audit_counted_as"), "{plan:?}");
    assert!(uses("SEARCH refusals USING PRIMARY KEY"), "{plan:?}");
    assert!(!uses("SCAN audit") && !uses("SCAN refusals"), "{plan:?}");
}

/// A database from before refusals were counted.
#[test]
fn adds_counting_to_an_older_database() {
    let file = File::new();
    record(&file.open(), denial("before", "token"));
    let old = file.connect();
    for statement in [
        "DROP TRIGGER count_refusal",
        "DROP TRIGGER count_repeat",
        "DROP TABLE refusals",
        "DROP INDEX audit_counted_as",
        "ALTER TABLE audit DROP COLUMN refused",
        "ALTER TABLE audit DROP COLUMN counted_as",
        "ALTER TABLE audit DROP COLUMN repeats",
        "ALTER TABLE audit DROP COLUMN last_at_ms",
        "ALTER TABLE audit DROP COLUMN last_decision_id",
        "UPDATE meta SET value = 3 WHERE name = 'tables'",
    ] {
        old.query(statement, vec![]).unwrap();
    }
    drop(old);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| drop(file.open()));
        }
    });
    let store = file.open();
    for id in ["a", "b", "c"] {
        assert_eq!(record(&store, denial(id, "token")), Recorded::Written, "{id}");
    }
    assert_eq!(record(&store, denial("d", "token")), counted("c"));
    let kept = "SELECT decision_id || repeats FROM audit ORDER BY seq";
    assert_eq!(file.connect().column(kept), ["before0", "a0", "b0", "c1"]);
}
