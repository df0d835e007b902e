//! The tables, and the statements that set up a connection. Each is idempotent.

/// How long SQLite waits for another process's lock: less than the 1 s that a statement may take.
pub(crate) const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 750";
/// Readers don't block the writer.
pub(crate) const JOURNAL_MODE: &str = "PRAGMA journal_mode = WAL";
/// Every commit reaches the disk before it is confirmed (I1).
pub(crate) const SYNCHRONOUS: &str = "PRAGMA synchronous = FULL";
/// Reads back what [`SYNCHRONOUS`] set.
pub(crate) const SYNCHRONOUS_READ: &str = "PRAGMA synchronous";
/// The result of [`SYNCHRONOUS_READ`] for FULL; higher is stricter.
pub(crate) const SYNCHRONOUS_FULL: u64 = 2;

/// Returns 1 if an earlier instance has completed the set-up on this connection, so that most instances start with one
/// statement. Fails if there is no table `meta` yet.
pub(crate) const IS_SET_UP: &str = "SELECT 1 WHERE \
    (SELECT journal_mode FROM pragma_journal_mode) = 'wal' \
    AND (SELECT synchronous FROM pragma_synchronous) >= 2 \
    AND (SELECT timeout FROM pragma_busy_timeout) = 750 \
    AND (SELECT value FROM meta WHERE name = 'tables') = 7 \
    AND EXISTS (SELECT 1 FROM meta WHERE name = 'created_at')";
/// Records that all [`TABLES`] exist. The number increases with each change of the tables.
pub(crate) const TABLES_WRITE: &str = "INSERT OR REPLACE INTO meta (name, value) VALUES ('tables', 7)";

/// The tables and indexes, in the order of creation.
pub(crate) const TABLES: [&str; 16] = [
    "CREATE TABLE IF NOT EXISTS meta (
        name TEXT PRIMARY KEY NOT NULL,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS consumed (
        key TEXT PRIMARY KEY NOT NULL,
        keep_until INTEGER NOT NULL,
        uses_left INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS consumed_keep_until ON consumed (keep_until)",
    "CREATE TABLE IF NOT EXISTS audit (
        seq INTEGER PRIMARY KEY,
        decision_id TEXT NOT NULL UNIQUE,
        decided_at_ms INTEGER NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('issued', 'refused')),
        slug TEXT NOT NULL,
        bundle_digest TEXT NOT NULL,
        determining_rules TEXT NOT NULL,
        erring_rules TEXT NOT NULL,
        cedar_request TEXT NOT NULL,
        issuer_name TEXT NOT NULL,
        subject TEXT NOT NULL,
        subject_jti TEXT NOT NULL,
        subject_digest TEXT NOT NULL,
        audience TEXT NOT NULL,
        scopes TEXT NOT NULL,
        kid TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        timings TEXT NOT NULL,
        generation_of TEXT,
        generation INTEGER,
        refused TEXT,
        counted_as TEXT,
        repeats INTEGER NOT NULL DEFAULT 0,
        last_at_ms INTEGER,
        last_decision_id TEXT,
        actors TEXT,
        salt TEXT,
        token_digest TEXT,
        leaf TEXT,
        jkt TEXT,
        status_list TEXT,
        status_index INTEGER
    ) STRICT",
    // The leaves of the transparency log. A log is named by the creation mark that was in force.
    "CREATE TABLE IF NOT EXISTS log_leaves (
        log INTEGER NOT NULL,
        log_index INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        decision_id TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL,
        PRIMARY KEY (log, log_index)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS log_tiles (
        log INTEGER NOT NULL,
        level INTEGER NOT NULL,
        tile_index INTEGER NOT NULL,
        hashes TEXT NOT NULL,
        PRIMARY KEY (log, level, tile_index)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS refusals (
        minute INTEGER NOT NULL,
        issuer_name TEXT NOT NULL,
        subject TEXT NOT NULL,
        refused TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (minute, issuer_name, subject, refused)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS generations (
        name TEXT PRIMARY KEY NOT NULL,
        highest INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS leases (
        name TEXT PRIMARY KEY NOT NULL,
        expires_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS documents (
        name TEXT PRIMARY KEY NOT NULL,
        body TEXT NOT NULL,
        keep_until INTEGER NOT NULL
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS documents_keep_until ON documents (keep_until)",
    "CREATE TABLE IF NOT EXISTS pointers (
        name TEXT PRIMARY KEY NOT NULL,
        value TEXT NOT NULL,
        revision INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // Absent fields match every token. Without `cutoff`, tokens are revoked whenever they are issued; without
    // `keep_until`, until the block is lifted.
    "CREATE TABLE IF NOT EXISTS revocations (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        jti TEXT,
        issuer_name TEXT,
        subject TEXT,
        audience TEXT,
        bundle_digest TEXT,
        kid TEXT,
        since INTEGER,
        cutoff INTEGER,
        keep_until INTEGER,
        created_at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        actor_decision_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        lifted_at INTEGER,
        lifted_by TEXT,
        lifted_by_decision_id TEXT,
        lift_reason TEXT
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS revocations_jti ON revocations (jti)",
    "CREATE INDEX IF NOT EXISTS revocations_keep_until ON revocations (keep_until)",
    // What operators and holders of tokens did; never deleted. `AUTOINCREMENT`, so that no number is used twice.
    "CREATE TABLE IF NOT EXISTS operations (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        operation TEXT NOT NULL CHECK (operation IN ('block', 'lift', 'revoke')),
        revocation_id TEXT NOT NULL,
        jti TEXT,
        issuer_name TEXT,
        subject TEXT,
        audience TEXT,
        bundle_digest TEXT,
        kid TEXT,
        since INTEGER,
        cutoff INTEGER,
        actor TEXT NOT NULL,
        actor_decision_id TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT",
];

/// A column that older databases lack. SQLite can't add a column only if it is missing, so its existence is checked before
/// adding it, and again if that fails, because another process may have been faster.
pub(crate) struct Column {
    pub(crate) exists: &'static str,
    pub(crate) add: &'static str,
}

pub(crate) const COLUMNS: [Column; 15] = [
    // Version 1 had no bounds; its keys are all used up.
    Column {
        exists: "SELECT 1 FROM pragma_table_info('consumed') WHERE name = 'uses_left'",
        add: "ALTER TABLE consumed ADD COLUMN uses_left INTEGER NOT NULL DEFAULT 0",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'generation_of'",
        add: "ALTER TABLE audit ADD COLUMN generation_of TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'generation'",
        add: "ALTER TABLE audit ADD COLUMN generation INTEGER",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'refused'",
        add: "ALTER TABLE audit ADD COLUMN refused TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'counted_as'",
        add: "ALTER TABLE audit ADD COLUMN counted_as TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'repeats'",
        add: "ALTER TABLE audit ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'last_at_ms'",
        add: "ALTER TABLE audit ADD COLUMN last_at_ms INTEGER",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'last_decision_id'",
        add: "ALTER TABLE audit ADD COLUMN last_decision_id TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'actors'",
        add: "ALTER TABLE audit ADD COLUMN actors TEXT",
    },
    // Records from before have no leaf.
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'salt'",
        add: "ALTER TABLE audit ADD COLUMN salt TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'token_digest'",
        add: "ALTER TABLE audit ADD COLUMN token_digest TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'leaf'",
        add: "ALTER TABLE audit ADD COLUMN leaf TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'jkt'",
        add: "ALTER TABLE audit ADD COLUMN jkt TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'status_list'",
        add: "ALTER TABLE audit ADD COLUMN status_list TEXT",
    },
    Column {
        exists: "SELECT 1 FROM pragma_table_info('audit') WHERE name = 'status_index'",
        add: "ALTER TABLE audit ADD COLUMN status_index INTEGER",
    },
];

/// Statements that need [`COLUMNS`], in order. Only with triggers can one SQLite statement write two tables: they store the
/// highest generation in the statement that records its token, count a refusal in the statement that records it, and note
/// an operation in the statement that does it.
pub(crate) const AFTER_COLUMNS: [&str; 9] = [
    // Records up to here are from before there was a log.
    "INSERT OR IGNORE INTO meta (name, value) SELECT 'log_from', coalesce(max(seq), 0) FROM audit",
    "CREATE TRIGGER IF NOT EXISTS remember_generation \
        AFTER INSERT ON audit WHEN NEW.generation IS NOT NULL BEGIN \
        INSERT INTO generations (name, highest) VALUES (NEW.generation_of, NEW.generation) \
        ON CONFLICT (name) DO UPDATE SET highest = max(highest, excluded.highest); END",
    // Partial, so that issued tokens cost nothing.
    "CREATE UNIQUE INDEX IF NOT EXISTS audit_counted_as ON audit (counted_as) WHERE counted_as IS NOT NULL",
    // For the list of revocations: live tokens with an actor.
    "CREATE INDEX IF NOT EXISTS audit_acting ON audit (expires_at) WHERE actors IS NOT NULL",
    // For status lists: live tokens with an index.
    "CREATE INDEX IF NOT EXISTS audit_status ON audit (status_list, expires_at) \
        WHERE status_list IS NOT NULL",
    "CREATE TRIGGER IF NOT EXISTS count_refusal \
        AFTER INSERT ON audit WHEN NEW.refused IS NOT NULL BEGIN \
        INSERT INTO refusals (minute, issuer_name, subject, refused, count) \
        VALUES (NEW.last_at_ms / 60000, NEW.issuer_name, NEW.subject, NEW.refused, 1) \
        ON CONFLICT (minute, issuer_name, subject, refused) DO UPDATE SET count = count + 1; END",
    "CREATE TRIGGER IF NOT EXISTS count_repeat \
        AFTER UPDATE OF repeats ON audit WHEN NEW.refused IS NOT NULL \
        AND substr(NEW.counted_as, 1, 5) <> 'many ' AND substr(NEW.counted_as, 1, 10) <> 'over many ' BEGIN \
        INSERT INTO refusals (minute, issuer_name, subject, refused, count) \
        VALUES (NEW.last_at_ms / 60000, NEW.issuer_name, NEW.subject, NEW.refused, 1) \
        ON CONFLICT (minute, issuer_name, subject, refused) DO UPDATE SET count = count + 1; END",
    "CREATE TRIGGER IF NOT EXISTS note_revocation AFTER INSERT ON revocations BEGIN \
        INSERT INTO operations (at, operation, revocation_id, jti, issuer_name, subject, audience, bundle_digest, kid, \
        since, cutoff, actor, actor_decision_id, reason) VALUES (NEW.created_at, \
        CASE WHEN NEW.keep_until IS NULL THEN 'block' ELSE 'revoke' END, NEW.id, NEW.jti, NEW.issuer_name, \
        NEW.subject, NEW.audience, NEW.bundle_digest, NEW.kid, NEW.since, NEW.cutoff, \
        NEW.actor, NEW.actor_decision_id, NEW.reason); END",
    "CREATE TRIGGER IF NOT EXISTS note_lift \
        AFTER UPDATE OF lifted_at ON revocations WHEN OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL BEGIN \
        INSERT INTO operations (at, operation, revocation_id, jti, issuer_name, subject, audience, bundle_digest, kid, \
        since, cutoff, actor, actor_decision_id, reason) VALUES (NEW.lifted_at, 'lift', NEW.id, NEW.jti, \
        NEW.issuer_name, NEW.subject, NEW.audience, NEW.bundle_digest, NEW.kid, NEW.since, NEW.cutoff, \
        NEW.lifted_by, NEW.lifted_by_decision_id, NEW.lift_reason); END",
];

/// Writes the creation mark: when this store began to record uses, in Unix seconds.
///
/// A restored copy of the database gets a new mark, so that tokens whose use the copy doesn't contain are refused (I4):
/// either from [`crate::keep_alive`], or because the operator who restores it deletes this row.
pub(crate) const CREATION_MARK_WRITE: &str = "INSERT OR IGNORE INTO meta (name, value) VALUES ('created_at', ?1)";
pub(crate) const CREATION_MARK_READ: &str = "SELECT value FROM meta WHERE name = 'created_at'";
/// Reads the alive mark: until when the store was certainly in use, in Unix seconds.
pub(crate) const ALIVE_MARK_READ: &str = "SELECT value FROM meta WHERE name = 'alive_at'";
/// Sets the alive mark to ?1. If the old one is before ?2, also renews the creation mark and returns a row `created_at`, in
/// the same statement so that nothing can come in between.
pub(crate) const ALIVE_MARK_WRITE: &str = "INSERT INTO meta (name, value) \
    SELECT 'created_at', ?1 WHERE EXISTS (SELECT 1 FROM meta WHERE name = 'alive_at' AND value < ?2) \
    UNION ALL SELECT 'alive_at', ?1 WHERE true \
    ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value) \
    RETURNING name";
