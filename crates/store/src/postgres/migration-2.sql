-- Version 2: who acts for the subject. Pairs of issuer and subject as JSON, the current actor first; NULL without any.
ALTER TABLE audit ADD COLUMN actors text;

-- With the new column at the end, so that the view keeps its privileges.
CREATE OR REPLACE VIEW records AS
    SELECT seq, audit.decision_id, decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules,
        cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings,
        generation_of, generation, refused, coalesce(repeats.repeats, 0) AS repeats, repeats.last_at_ms,
        repeats.last_decision_id, audit.actors
    FROM audit LEFT JOIN repeats USING (decision_id);
