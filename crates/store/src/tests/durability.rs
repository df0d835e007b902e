//! Set-up and schema; only confirmed writes count.

use super::*;
use std::cell::RefCell;

#[test]
fn sets_up_a_durable_connection() {
    let file = File::new();
    let store = file.open();
    let database = store.database();
    assert_eq!(database.column("PRAGMA journal_mode"), ["wal"]);
    assert_eq!(database.column("PRAGMA synchronous"), ["2"]);
    assert_eq!(database.column("PRAGMA busy_timeout"), ["750"]);
}

#[test]
fn makes_exactly_this_schema() {
    let file = File::new();
    drop((file.open(), file.open()));
    let objects =
        file.connect().column("SELECT type || ' ' || name FROM sqlite_schema WHERE sql NOT NULL ORDER BY name");
    assert_eq!(
        objects,
        [
            "table audit",
            "index audit_acting",
            "index audit_counted_as",
            "index audit_status",
            "table consumed",
            "index consumed_keep_until",
            "trigger count_refusal",
            "trigger count_repeat",
            "table documents",
            "index documents_keep_until",
            "table generations",
            "table leases",
            "table log_leaves",
            "table log_tiles",
            "table meta",
            "trigger note_lift",
            "trigger note_revocation",
            "table operations",
            "table pointers",
            "table refusals",
            "trigger remember_generation",
            "table revocations",
            "index revocations_jti",
            "index revocations_keep_until",
            "table sqlite_sequence",
        ]
    );
    let columns = "SELECT group_concat(m.name || '.' || c.name || ' ' || c.type, ', ') \
        FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT IN ('audit', 'operations', 'revocations', 'sqlite_sequence') \
        GROUP BY m.name ORDER BY m.name";
    assert_eq!(
        file.connect().column(columns),
        [
            "consumed.key TEXT, consumed.keep_until INTEGER, consumed.uses_left INTEGER",
            "documents.name TEXT, documents.body TEXT, documents.keep_until INTEGER",
            "generations.name TEXT, generations.highest INTEGER",
            "leases.name TEXT, leases.expires_at_ms INTEGER",
            "log_leaves.log INTEGER, log_leaves.log_index INTEGER, log_leaves.seq INTEGER, log_leaves.decision_id TEXT, log_leaves.hash TEXT",
            "log_tiles.log INTEGER, log_tiles.level INTEGER, log_tiles.tile_index INTEGER, log_tiles.hashes TEXT",
            "meta.name TEXT, meta.value INTEGER",
            "pointers.name TEXT, pointers.value TEXT, pointers.revision INTEGER",
            "refusals.minute INTEGER, refusals.issuer_name TEXT, refusals.subject TEXT, refusals.refused TEXT, refusals.count INTEGER",
        ]
    );
}

/// A database as version 0.1 left it before tokens could be used a few times.
#[test]
fn adds_use_column_to_an_older_database() {
    let file = File::new();
    let old = file.connect();
    old.column("PRAGMA journal_mode = WAL");
    for statement in [
        "CREATE TABLE consumed (key TEXT PRIMARY KEY NOT NULL, keep_until INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "INSERT INTO consumed (key, keep_until) VALUES ('used', 1900000000)",
    ] {
        old.query(statement, vec![]).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| drop(file.open()));
        }
    });
    let store = file.open();
    let used = |key: &str, uses_max| done(store.consume(key, uses_max, NOW_SECONDS, KEEP_UNTIL, NOW, &mut unlimited()));
    assert_eq!(used("used", 1), Ok(Consumption::Spent));
    assert_eq!(used("used", 5), Ok(Consumption::Spent));
    assert_eq!(used("new", 1), Ok(Consumption::Fresh));
}

#[test]
fn many_connections_can_make_the_tables_at_once() {
    let file = File::new();
    drop(file.connect().column("PRAGMA journal_mode = WAL"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| drop(file.open()));
        }
    });
    assert_eq!(file.connect().column("SELECT value FROM meta WHERE name = 'created_at'"), [NOW_SECONDS.to_string()]);
}

/// Two processes that find no mark both write one.
#[test]
fn the_first_creation_mark_stays() {
    let file = File::new();
    let store = file.open();
    let other = vec![Value::Integer(1)];
    store.database().query(crate::sqlite::schema::CREATION_MARK_WRITE, other).unwrap();
    assert_eq!(store.database().column("SELECT value FROM meta WHERE name = 'created_at'"), [NOW_SECONDS.to_string()]);
}

/// A database whose statements that contain a text fail, as a full disk would make them.
struct Failing {
    real: Rusqlite,
    failing: RefCell<Option<&'static str>>,
}

impl Database for Failing {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = Bell;

    fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
        bell()
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        if self.failing.borrow().is_some_and(|text| statement.sql.contains(text)) {
            return Err(Error::Unavailable(Cause::DatabaseFull));
        }
        self.real.run(statement).await
    }
}

#[test]
fn unconfirmed_write_counts_as_failed() {
    let file = File::new();
    let store = done(Store::open(Failing { real: file.connect(), failing: RefCell::new(None) }, NOW)).unwrap();
    let full = Error::Unavailable(Cause::DatabaseFull);
    assert_eq!(full.slug(), "store.unavailable");
    for (failing, sweeps_fail) in [("INSERT INTO", false), ("DELETE", true)] {
        store.database().failing.replace(Some(failing));
        for number in 0..crate::store::WRITES_PER_SWEEP + 1 {
            let consumed =
                done(store.consume(&format!("{failing}{number}"), 1, NOW_SECONDS, KEEP_UNTIL, NOW, &mut unlimited()));
            assert_eq!(consumed, if sweeps_fail { Ok(Consumption::Fresh) } else { Err(full.clone()) });
        }
        let record = AuditRecord { decision_id: failing.into(), ..AuditRecord::default() };
        assert_eq!(
            done(store.record(record, NOW, &mut unlimited())),
            if sweeps_fail { Ok(Recorded::Written) } else { Err(full.clone()) }
        );
    }
    store.database().failing.replace(Some("SELECT 1 FROM consumed"));
    let spent = done(store.consume("DELETE0", 1, NOW_SECONDS, KEEP_UNTIL, NOW, &mut unlimited()));
    assert_eq!(spent, Err(full.clone()), "not fresh, and nobody knows why");
    store.database().failing.replace(Some("SELECT value FROM meta WHERE name"));
    assert_eq!(done(store.ready()), Err(full));
}

#[test]
fn refuses_a_connection_that_is_not_durable() {
    struct Careless(Rusqlite);
    impl Database for Careless {
        const DIALECT: Dialect = Dialect::Sqlite;
        type Alarm = Bell;

        fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
            bell()
        }

        async fn run(&self, mut statement: Statement) -> Result<Vec<Row>, Error> {
            if statement.sql == "PRAGMA synchronous = FULL" {
                statement.sql = "PRAGMA synchronous = NORMAL".into();
            }
            self.0.run(statement).await
        }
    }
    let file = File::new();
    let opened = done(Store::open(Careless(file.connect()), NOW));
    assert_eq!(opened.err(), Some(Error::Unavailable(Cause::NotDurable)));
}

#[test]
fn rejects_row_of_another_shape() {
    struct Odd(Rusqlite);
    impl Database for Odd {
        const DIALECT: Dialect = Dialect::Sqlite;
        type Alarm = Bell;

        fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
            bell()
        }

        async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
            if statement.sql.starts_with("SELECT body") {
                return Ok(vec![vec![Value::Null]]);
            }
            self.0.run(statement).await
        }
    }
    let file = File::new();
    let store = done(Store::open(Odd(file.connect()), NOW)).unwrap();
    assert_eq!(done(store.document_get("d")), Err(Error::Unavailable(Cause::UnexpectedRow)));
}

/// Counts statements.
struct Counting(Rusqlite, Rc<Cell<usize>>);

impl Database for Counting {
    const DIALECT: Dialect = Dialect::Sqlite;
    type Alarm = Bell;

    fn alarm(&self) -> (Bell, impl Future<Output = ()>) {
        bell()
    }

    async fn run(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        self.1.set(self.1.get() + 1);
        self.0.run(statement).await
    }
}

#[test]
fn second_instance_starts_with_one_statement() {
    let file = File::new();
    let statements = Rc::new(Cell::new(0));
    let start = |connection| {
        statements.set(0);
        let store = done(Store::open(Counting(connection, statements.clone()), NOW)).unwrap();
        (store, statements.get())
    };
    let (first, count) = start(file.connect());
    assert!(count > 10, "{count}");
    let (second, count) = start(first.into_database().0);
    assert_eq!(count, 1);
    // Each of these needs the full set-up again.
    let mut database = second.into_database().0;
    for undone in [
        "PRAGMA synchronous = NORMAL",
        "PRAGMA busy_timeout = 1",
        "PRAGMA journal_mode = DELETE",
        "DELETE FROM meta WHERE name = 'created_at'",
        "DELETE FROM meta WHERE name = 'tables'",
        "DROP TABLE meta",
    ] {
        database.query(undone, vec![]).unwrap();
        let (store, count) = start(database);
        assert!(count > 10, "{undone}: {count}");
        database = store.into_database().0;
        assert_eq!(database.column("PRAGMA synchronous"), ["2"]);
        assert_eq!(database.column("PRAGMA journal_mode"), ["wal"]);
    }
}
