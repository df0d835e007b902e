-- Version 3: the key that a token is bound to, and status lists. Brokers of version 2 leave both out.

ALTER TABLE audit ADD COLUMN jkt text, ADD COLUMN status_list text COLLATE "C", ADD COLUMN status_index bigint;
-- For status lists: live tokens with an index.
CREATE INDEX audit_status ON audit (status_list, expires_at) WHERE status_list IS NOT NULL;

-- With the new columns at the end, so that the view keeps its privileges.
CREATE OR REPLACE VIEW records AS
    SELECT seq, audit.decision_id, decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules,
        cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings,
        generation_of, generation, refused, coalesce(repeats.repeats, 0) AS repeats, repeats.last_at_ms,
        repeats.last_decision_id, audit.actors, audit.jkt, audit.status_list, audit.status_index
    FROM audit LEFT JOIN repeats USING (decision_id);
