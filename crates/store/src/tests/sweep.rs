//! Sweeps: what they delete, and how much at once.

use super::*;
use crate::statements::SWEEP_ROWS_MAX;
use crate::store::WRITES_PER_SWEEP;
use crate::time::SWEEP_MARGIN_SECONDS;

/// Seconds after which everything that was kept until [`KEEP_UNTIL`] may go.
const ALL_EXPIRED: u64 = KEEP_UNTIL - NOW_SECONDS + SWEEP_MARGIN_SECONDS + 1;

fn fill(database: &Rusqlite, table: &str, columns: &str, rows: i64, expiry: u64) {
    let sql = format!(
        "INSERT INTO {table} {columns} WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT 'old' || i{} {expiry} FROM n",
        if table == "documents" { ", 'body'," } else { "," }
    );
    database.query(&sql, vec![]).unwrap();
}

/// Writes until one write after the next sweep.
fn write_until_swept(store: &Store<Rusqlite>, now: UnixMilliseconds) {
    for number in 0..WRITES_PER_SWEEP {
        let fresh = done(store.consume(
            &format!("{}-{number}", now.0),
            1,
            now.0 / 1000,
            now.0 / 1000 + 60,
            now,
            &mut unlimited(),
        ));
        assert_eq!(fresh, Ok(Consumption::Fresh));
    }
}

#[test]
fn sweep_deletes_a_bounded_number_of_rows() {
    let file = File::new();
    let store = file.open();
    let rows = 2 * SWEEP_ROWS_MAX + 10;
    fill(store.database(), "consumed", "(key, keep_until)", rows, KEEP_UNTIL);
    let old = |store: &Store<Rusqlite>| store.database().column("SELECT count(*) FROM consumed WHERE key LIKE 'old%'");
    let left = |rounds: i64| vec![(rows - rounds * SWEEP_ROWS_MAX).max(0).to_string()];
    for round in 1..=4 {
        write_until_swept(&store, UnixMilliseconds(later(ALL_EXPIRED).0 + round));
        assert_eq!(old(&store), left(i64::try_from(round).unwrap()), "after round {round}");
    }
}

#[test]
fn forgets_only_what_is_long_past() {
    let file = File::new();
    let store = file.open();
    let horizon = NOW_SECONDS - SWEEP_MARGIN_SECONDS;
    for (key, keep_until) in [("past", horizon - 1), ("edge", horizon), ("coming", NOW_SECONDS + 1)] {
        let row = vec![Value::from(key), Value::Integer(i64::try_from(keep_until).unwrap())];
        store.database().query("INSERT INTO consumed (key, keep_until) VALUES (?1, ?2)", row).unwrap();
    }
    write_until_swept(&store, NOW);
    let kept = store.database().column("SELECT key FROM consumed WHERE key NOT LIKE '%-%' ORDER BY key");
    assert_eq!(kept, ["coming", "edge"]);
}

#[test]
fn sweeps_documents_and_leases_only() {
    let file = File::new();
    let store = file.open();
    fill(store.database(), "documents", "(name, body, keep_until)", 3, KEEP_UNTIL);
    fill(store.database(), "leases", "(name, expires_at_ms)", 3, KEEP_UNTIL * 1000);
    let record = AuditRecord { decision_id: "a".into(), ..AuditRecord::default() };
    done(store.record(record, NOW, &mut unlimited())).unwrap();
    assert_eq!(done(store.pointer_compare_and_swap("p", None, "v".into())), Ok(true));
    write_until_swept(&store, NOW);
    assert_eq!((store.database().count("documents"), store.database().count("leases")), (3, 3));
    write_until_swept(&store, later(ALL_EXPIRED));
    assert_eq!((store.database().count("documents"), store.database().count("leases")), (0, 0));
    assert_eq!((store.database().count("audit"), store.database().count("pointers")), (1, 1));
}

/// Instances that serve one request each must sweep too, but not every one.
#[test]
fn short_lived_instances_sweep_too() {
    let file = File::new();
    fill(file.open().database(), "consumed", "(key, keep_until)", 2 * SWEEP_ROWS_MAX, KEEP_UNTIL);
    for number in 0..WRITES_PER_SWEEP {
        let now = UnixMilliseconds(later(ALL_EXPIRED).0 + number);
        let store = file.open_at(now);
        done(store.consume(&format!("k-{number}"), 1, now.0 / 1000, now.0 / 1000, now, &mut unlimited())).unwrap();
    }
    let old = file.connect().column("SELECT count(*) FROM consumed WHERE key LIKE 'old%'");
    assert_eq!(old, [SWEEP_ROWS_MAX.to_string()]);
}
