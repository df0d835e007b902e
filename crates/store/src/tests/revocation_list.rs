//! The list of everything that is revoked.

use super::revocations::{add_at, by, in_force, issued, of_subject, record, token};
use super::*;

on_both! {
    block_of_a_bundle_ends_with_its_tokens
    bounds_the_tokens_of_a_workload
    bounds_the_tokens_of_all
    empty_list_says_since_when
    has_every_condition_that_tokens_show
    has_tokens_of_a_revoked_actor
    has_tokens_until_they_expire
    lists_what_a_lifted_block_revoked
    sequence_grows_with_each_operation
    sequence_outlives_what_is_swept
}

fn list(store: &Store<impl Database<Alarm = Bell>>, now: UnixMilliseconds) -> Result<RevocationList, Error> {
    done(store.revocation_list(now))
}

/// The list after one revocation.
fn listed(store: &Store<impl Database<Alarm = Bell>>) -> RevocationList {
    list(store, NOW).unwrap()
}

fn rule_of(subject: &str) -> RevocationRule {
    RevocationRule { issuer_name: Some("github".into()), subject: Some(subject.into()), ..RevocationRule::default() }
}

fn end(store: &Store<impl Database<Alarm = Bell>>, jti: &str, subject: &str, at: u64) {
    assert_eq!(record(store, token(jti, subject, at)), Recorded::Written);
    in_force(store, &format!("token/{jti}"), &RevocationTarget::Token(jti.into()));
}

fn empty_list_says_since_when<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let RevocationList { began_at, sequence, rules, tokens } = listed(&store);
    // PostgreSQL's mark is ahead after the database was replaced, so its tolerance is always taken off.
    assert!([NOW_SECONDS, NOW_SECONDS - 60].contains(&began_at), "{began_at}");
    assert_eq!((sequence, rules, tokens), (0, vec![], vec![]));
}

fn has_every_condition_that_tokens_show<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let filter =
        TokenFilter { audience: Some("https://api.example".into()), kid: Some("k1".into()), ..of_subject("a") };
    in_force(&store, "block", &RevocationTarget::Blocked(filter.clone()));
    let since = Some(NOW_SECONDS - 60);
    let times = IssuedTokens { filter: TokenFilter::default(), since, until: Some(NOW_SECONDS - 30) };
    in_force(&store, "times", &RevocationTarget::Issued(times));
    in_force(&store, "now", &issued(of_subject("b")));
    let block = RevocationRule { audience: filter.audience, kid: filter.kid, ..rule_of("a") };
    let times = RevocationRule { since, until: Some(NOW_SECONDS - 30), ..RevocationRule::default() };
    let now = RevocationRule { until: Some(NOW_SECONDS), ..rule_of("b") };
    assert_eq!(listed(&store).rules, [block, times, now]);
}

/// A verifier can't tell by a token that one of its actors is revoked, so the token is in the list.
fn has_tokens_of_a_revoked_actor<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let actor = RecordedActor { issuer_name: "cluster".into(), subject: "agent".into() };
    let acting = |jti: &str| AuditRecord { actors: vec![actor.clone()], ..token(jti, "a", NOW_SECONDS) };
    assert_eq!(record(&store, acting("acting")), Recorded::Written);
    assert_eq!(record(&store, token("alone", "a", NOW_SECONDS)), Recorded::Written);
    assert_eq!(listed(&store).tokens, [""; 0]);
    let agent =
        TokenFilter { issuer_name: Some("cluster".into()), subject: Some("agent".into()), ..TokenFilter::default() };
    in_force(&store, "agent", &issued(agent));
    assert_eq!(listed(&store).tokens, ["acting"]);
    let expired = list(&store, later(3600)).unwrap();
    assert_eq!(expired.tokens, [""; 0]);
}

/// A token doesn't show its bundle, but once the bundle is blocked, no token of it is issued.
fn block_of_a_bundle_ends_with_its_tokens<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let of_bundle = || TokenFilter { bundle_digest: Some("b1".into()), ..of_subject("a") };
    in_force(&store, "block", &RevocationTarget::Blocked(of_bundle()));
    in_force(&store, "set", &issued(of_bundle()));
    let until = |until| RevocationRule { until: Some(until), ..rule_of("a") };
    assert_eq!(listed(&store).rules, [until(NOW_SECONDS + 30), until(NOW_SECONDS)]);
    done(store.lift_block("block", by("chief"), later(3600))).unwrap().unwrap();
    let mut rules = list(&store, later(3600)).unwrap().rules;
    rules.sort_by_key(|rule| rule.until);
    assert_eq!(rules, [until(NOW_SECONDS), until(NOW_SECONDS + 30)]);
}

fn lists_what_a_lifted_block_revoked<S: Scene>() {
    let file = S::new();
    let store = file.open();
    in_force(&store, "block", &RevocationTarget::Blocked(of_subject("a")));
    done(store.lift_block("block", by("chief"), later(10))).unwrap().unwrap();
    let until = NOW_SECONDS + 10;
    let lifted = RevocationRule { until: Some(until), ..rule_of("a") };
    // `keep_until` is inclusive.
    assert_eq!(list(&store, later(10 + TOKEN_SECONDS_MAX)).unwrap().rules, [lifted]);
    assert_eq!(list(&store, later(11 + TOKEN_SECONDS_MAX)).unwrap().rules, []);
}

fn has_tokens_until_they_expire<S: Scene>() {
    let file = S::new();
    let store = file.open();
    end(&store, "a", "a", NOW_SECONDS);
    assert_eq!(listed(&store).tokens, ["a"]);
    for (seconds, tokens) in [(300, 1), (301, 0)] {
        assert_eq!(list(&store, later(seconds)).unwrap().tokens.len(), tokens, "{seconds}");
    }
}

/// Adds `count` tokens like that of the workload `w`, and ends them; each is of a workload of its own if `apart`.
fn fill(store: &Store<impl Database<Alarm = Bell> + Inspect>, count: usize, apart: bool) {
    let subject = if apart { "'w' || n" } else { "subject" };
    let numbers =
        format!("WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})");
    let tokens = format!(
        "INSERT INTO audit (decision_id, decided_at_ms, outcome, slug, bundle_digest, determining_rules, \
         erring_rules, cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, \
         expires_at, timings) {numbers} SELECT 't' || n, decided_at_ms, outcome, slug, bundle_digest, \
         determining_rules, erring_rules, cedar_request, issuer_name, {subject}, subject_jti, subject_digest, \
         audience, scopes, kid, expires_at, timings FROM audit, numbers WHERE decision_id = 'first'"
    );
    let revocations = format!(
        "INSERT INTO revocations (id, jti, keep_until, created_at, actor, actor_decision_id, reason) {numbers} \
         SELECT 't' || n, 't' || n, keep_until, created_at, '', '', '' FROM revocations, numbers WHERE jti = 'first'"
    );
    for sql in [tokens, revocations] {
        store.database().query(&sql, vec![]).unwrap();
    }
}

/// A workload that ends token after token can't fill the list: instead, all its tokens end.
fn bounds_the_tokens_of_a_workload<S: Scene>() {
    let file = S::new();
    let store = file.open();
    end(&store, "first", "w", NOW_SECONDS);
    end(&store, "b", "b", NOW_SECONDS);
    fill(&store, LISTED_TOKENS_MAX - 2, false);
    let RevocationList { rules, tokens, .. } = listed(&store);
    assert_eq!((rules, tokens.len()), (vec![], LISTED_TOKENS_MAX));
    for number in 1..LISTED_TOKENS_PER_WORKLOAD_MAX {
        end(&store, &format!("b{number}"), "b", NOW_SECONDS);
    }
    let all = |subject: &str| {
        let audience = Some("https://api.example".into());
        RevocationRule { audience, until: Some(NOW_SECONDS), ..rule_of(subject) }
    };
    let RevocationList { rules, tokens, .. } = listed(&store);
    assert_eq!((rules, tokens.len()), (vec![all("w")], LISTED_TOKENS_PER_WORKLOAD_MAX));
    end(&store, "one more", "b", NOW_SECONDS);
    let RevocationList { mut rules, tokens, .. } = listed(&store);
    rules.sort_by_key(|rule| rule.subject.clone());
    assert_eq!((rules, tokens), (vec![all("b"), all("w")], vec![]));
}

/// Beyond the limit there is no list, and never a part of one.
fn bounds_the_tokens_of_all<S: Scene>() {
    let file = S::new();
    let store = file.open();
    end(&store, "first", "w", NOW_SECONDS);
    fill(&store, LISTED_TOKENS_MAX - 1, true);
    assert_eq!(listed(&store).tokens.len(), LISTED_TOKENS_MAX);
    end(&store, "one more", "another", NOW_SECONDS);
    assert_eq!(list(&store, NOW), Err(Error::Unavailable(Cause::TooManyRevoked)));
}

fn sequence_grows_with_each_operation<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let sequence = || listed(&store).sequence;
    in_force(&store, "r", &RevocationTarget::Blocked(of_subject("a")));
    let first = sequence();
    assert!(first > 0);
    in_force(&store, "r", &RevocationTarget::Blocked(of_subject("a")));
    assert_eq!(sequence(), first, "a repeated call is no operation");
    done(store.lift_block("r", by("chief"), NOW)).unwrap().unwrap();
    let second = sequence();
    end(&store, "t", "b", NOW_SECONDS);
    assert!(first < second && second < sequence());
}

fn sequence_outlives_what_is_swept<S: Scene>() {
    let file = S::new();
    let store = file.open();
    in_force(&store, "r", &issued(of_subject("a")));
    let sequence = listed(&store).sequence;
    store.database().query("DELETE FROM revocations", vec![]).unwrap();
    let RevocationList { sequence: after, rules, .. } = listed(&store);
    assert_eq!((after, rules), (sequence, vec![]));
    drop(store);
    let store = file.open();
    assert_eq!(listed(&store).sequence, sequence);
    let added = add_at(&store, "s", &issued(of_subject("a")), NOW);
    assert!(matches!(added, Added::InForce(_)));
    assert!(listed(&store).sequence > sequence);
}

/// A restored copy lacks revocations. Its lists say that nothing is known of earlier tokens.
#[test]
fn restored_copy_knows_nothing_of_earlier_tokens() {
    let file = File::new();
    let store = file.open();
    done(keep_alive(&file.connect(), NOW)).unwrap();
    in_force(&store, "r", &issued(of_subject("a")));
    assert_eq!(list(&store, later(15)).unwrap().began_at, NOW_SECONDS);
    assert_eq!(list(&store, later(16)), Err(Error::Unavailable(Cause::NotInUse)), "not marked yet");
    done(keep_alive(&file.connect(), later(16))).unwrap();
    assert_eq!(list(&store, later(16)).unwrap().began_at, NOW_SECONDS + 16);
    store.database().query("DELETE FROM meta WHERE name = 'created_at'", vec![]).unwrap();
    assert_eq!(list(&store, later(16)), Err(Error::Unavailable(Cause::NotInUse)), "deleted by the operator");
}

#[test]
fn replaced_database_knows_nothing_of_earlier_tokens() {
    let file = super::postgres::Postgres::new();
    let store = file.open();
    done(keep_alive(&file.connect(), NOW)).unwrap();
    assert_eq!(listed(&store).began_at, NOW_SECONDS - 60);
    store.database().query("UPDATE mark SET incarnation = 'another'", vec![]).unwrap();
    assert_eq!(list(&store, NOW), Err(Error::Unavailable(Cause::NotInUse)), "not marked yet");
    assert_eq!(done(keep_alive(&file.connect(), NOW)), Ok(Continuity::Replaced));
    assert_eq!(listed(&store).began_at, NOW_SECONDS);
    file.set_clock(later(16));
    assert_eq!(list(&store, NOW), Err(Error::Unavailable(Cause::NotInUse)));
}
