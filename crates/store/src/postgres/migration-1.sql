-- The tables of version 1. Names are unqualified: the connection's `search_path` chooses the schema. Times are numbers,
-- as in SQLite: Unix seconds, or milliseconds where the name says so.

-- The database's clock, by which leases, marks and sweeps are timed: the clocks of several hosts differ.
CREATE FUNCTION clock_ms() RETURNS bigint LANGUAGE sql VOLATILE
    AS $$ SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint) $$;

-- Which history of the database this is. The first part changes when a dump is loaded into another cluster; the second
-- grows whenever a standby is promoted or a base backup is restored. Fails on a standby.
CREATE FUNCTION incarnation() RETURNS text LANGUAGE sql VOLATILE
    AS $$ SELECT system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system() $$;

CREATE TABLE meta (
    name text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);

-- One row: since when uses are recorded, in which incarnation, and until when the store was certainly in use.
CREATE TABLE mark (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    incarnation text NOT NULL,
    created_at bigint NOT NULL,
    alive_at bigint
);

CREATE TABLE consumed (
    key text COLLATE "C" PRIMARY KEY,
    keep_until bigint NOT NULL,
    uses_left bigint NOT NULL
);
CREATE INDEX consumed_keep_until ON consumed (keep_until);

CREATE SEQUENCE audit_seq;
-- Has one partition per month; `create_partitions` makes them in advance.
CREATE TABLE audit (
    seq bigint NOT NULL DEFAULT nextval('audit_seq'),
    decision_id text COLLATE "C" NOT NULL,
    decided_at_ms bigint NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('issued', 'refused')),
    slug text NOT NULL,
    bundle_digest text NOT NULL,
    determining_rules text NOT NULL,
    erring_rules text NOT NULL,
    cedar_request text NOT NULL,
    issuer_name text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    subject_jti text NOT NULL,
    subject_digest text NOT NULL,
    audience text COLLATE "C" NOT NULL,
    scopes text NOT NULL,
    kid text NOT NULL,
    expires_at bigint NOT NULL,
    timings text NOT NULL,
    generation_of text,
    generation bigint,
    refused text,
    -- A unique key of a partitioned table must contain the column that partitions it.
    PRIMARY KEY (decision_id, decided_at_ms)
) PARTITION BY RANGE (decided_at_ms);
CREATE INDEX audit_seq_index ON audit (seq);

-- Refusals that are counted on the record `decision_id` instead of being recorded.
CREATE TABLE repeats (
    counted_as text COLLATE "C" PRIMARY KEY,
    decision_id text COLLATE "C" NOT NULL,
    repeats bigint NOT NULL,
    last_at_ms bigint NOT NULL,
    last_decision_id text
);
CREATE INDEX repeats_decision_id ON repeats (decision_id);
CREATE INDEX repeats_last_at_ms ON repeats (last_at_ms);

-- The records with their counters, for people.
CREATE VIEW records AS
    SELECT audit.*, coalesce(repeats.repeats, 0) AS repeats, repeats.last_at_ms, repeats.last_decision_id
    FROM audit LEFT JOIN repeats USING (decision_id);

CREATE TABLE refusals (
    minute bigint NOT NULL,
    issuer_name text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    refused text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (minute, issuer_name, subject, refused)
);

CREATE TABLE generations (
    name text COLLATE "C" PRIMARY KEY,
    highest bigint NOT NULL
);

CREATE TABLE leases (
    name text COLLATE "C" PRIMARY KEY,
    expires_at_ms bigint NOT NULL
);

CREATE TABLE documents (
    name text COLLATE "C" PRIMARY KEY,
    body text NOT NULL,
    keep_until bigint NOT NULL
);
CREATE INDEX documents_keep_until ON documents (keep_until);

CREATE TABLE pointers (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL,
    revision bigint NOT NULL
);

-- Absent fields match every token. Without `cutoff`, tokens are revoked whenever they are issued; without `keep_until`,
-- until the block is lifted.
CREATE TABLE revocations (
    seq bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    id text COLLATE "C" NOT NULL UNIQUE,
    jti text COLLATE "C",
    issuer_name text COLLATE "C",
    subject text COLLATE "C",
    audience text COLLATE "C",
    bundle_digest text COLLATE "C",
    kid text COLLATE "C",
    since bigint,
    cutoff bigint,
    keep_until bigint,
    created_at bigint NOT NULL,
    actor text NOT NULL,
    actor_decision_id text NOT NULL,
    reason text NOT NULL,
    lifted_at bigint,
    lifted_by text,
    lifted_by_decision_id text,
    lift_reason text
);
CREATE INDEX revocations_jti ON revocations (jti);
CREATE INDEX revocations_keep_until ON revocations (keep_until);

-- What operators and holders of tokens did; never deleted.
CREATE TABLE operations (
    seq bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at bigint NOT NULL,
    operation text NOT NULL CHECK (operation IN ('block', 'lift', 'revoke')),
    revocation_id text NOT NULL,
    jti text,
    issuer_name text,
    subject text,
    audience text,
    bundle_digest text,
    kid text,
    since bigint,
    cutoff bigint,
    actor text NOT NULL,
    actor_decision_id text NOT NULL,
    reason text NOT NULL
);

-- Counts revocations. A statement that records issued tokens locks this row and compares it with its snapshot, so that
-- it misses no revocation that was added meanwhile.
INSERT INTO meta (name, value) VALUES ('revocations', 0);

CREATE FUNCTION note_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE meta SET value = value + 1 WHERE name = 'revocations';
    INSERT INTO operations (at, operation, revocation_id, jti, issuer_name, subject, audience, bundle_digest, kid,
        since, cutoff, actor, actor_decision_id, reason)
    VALUES (NEW.created_at, CASE WHEN NEW.keep_until IS NULL THEN 'block' ELSE 'revoke' END, NEW.id, NEW.jti,
        NEW.issuer_name, NEW.subject, NEW.audience, NEW.bundle_digest, NEW.kid, NEW.since, NEW.cutoff, NEW.actor,
        NEW.actor_decision_id, NEW.reason);
    RETURN NULL;
END $$;
CREATE TRIGGER note_revocation AFTER INSERT ON revocations FOR EACH ROW EXECUTE FUNCTION note_revocation();

CREATE FUNCTION note_lift() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations (at, operation, revocation_id, jti, issuer_name, subject, audience, bundle_digest, kid,
        since, cutoff, actor, actor_decision_id, reason)
    VALUES (NEW.lifted_at, 'lift', NEW.id, NEW.jti, NEW.issuer_name, NEW.subject, NEW.audience, NEW.bundle_digest,
        NEW.kid, NEW.since, NEW.cutoff, NEW.lifted_by, NEW.lifted_by_decision_id, NEW.lift_reason);
    RETURN NULL;
END $$;
CREATE TRIGGER note_lift AFTER UPDATE OF lifted_at ON revocations FOR EACH ROW
    WHEN (OLD.lifted_at IS NULL AND NEW.lifted_at IS NOT NULL) EXECUTE FUNCTION note_lift();

-- Makes the partitions from last month to `ahead` months from now; returns how many were missing. A table is made
-- first and then attached, because `CREATE TABLE … PARTITION OF` would wait for every open insert and block later ones.
CREATE FUNCTION create_partitions(ahead integer) RETURNS integer LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    first timestamp := date_trunc('month', to_timestamp(clock_ms() / 1000.0) AT TIME ZONE 'UTC');
    month timestamp;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('vouchsafe'), hashtext('partitions'));
    FOR step IN -1..ahead LOOP
        month := first + make_interval(months => step);
        partition := 'audit_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE audit INCLUDING ALL)', partition);
        EXECUTE format('ALTER TABLE audit ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', partition,
            CAST(extract(epoch FROM month) * 1000 AS bigint),
            CAST(extract(epoch FROM month + interval '1 month') * 1000 AS bigint));
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

INSERT INTO mark (incarnation, created_at) SELECT incarnation(), clock_ms() / 1000;
