-- Version 2: a transparency log of the audit records. Brokers of version 1 write records without a leaf.

ALTER TABLE audit ADD COLUMN salt text, ADD COLUMN token_digest text, ADD COLUMN leaf text;

-- Leaves that have no index yet: the order in which records are committed is that of no sequence.
CREATE TABLE log_pending (
    seq bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    decision_id text COLLATE "C" NOT NULL,
    hash text NOT NULL
);

-- The leaves of each log. A log is named by the creation mark that was in force.
CREATE TABLE log_leaves (
    log bigint NOT NULL,
    log_index bigint NOT NULL,
    seq bigint NOT NULL,
    decision_id text COLLATE "C" NOT NULL UNIQUE,
    hash text NOT NULL,
    PRIMARY KEY (log, log_index)
);

-- Tiles above the leaves. A tile only grows.
CREATE TABLE log_tiles (
    log bigint NOT NULL,
    level bigint NOT NULL,
    tile_index bigint NOT NULL,
    hashes text NOT NULL,
    PRIMARY KEY (log, level, tile_index)
);

-- Who acts for the subject: pairs of issuer and subject as JSON, the current actor first; NULL without any.
ALTER TABLE audit ADD COLUMN actors text;
-- For the list of revocations: live tokens with an actor.
CREATE INDEX audit_acting ON audit (expires_at) WHERE actors IS NOT NULL;

-- With the new column at the end, so that the view keeps its privileges.
CREATE OR REPLACE VIEW records AS
    SELECT seq, audit.decision_id, decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules,
        cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings,
        generation_of, generation, refused, coalesce(repeats.repeats, 0) AS repeats, repeats.last_at_ms,
        repeats.last_decision_id, audit.actors
    FROM audit LEFT JOIN repeats USING (decision_id);
