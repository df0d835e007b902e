//! Revocations: which tokens they match, and how they begin and end.

use super::*;

on_both! {
    all_fields_must_match
    block_lasts_until_it_is_lifted
    bounds_texts
    bounds_the_decisions_that_it_reads
    bounds_the_number_of_revocations
    bounds_the_workloads_that_it_lists
    counts_live_tokens_by_workload
    cutoff_includes_its_second
    each_field_matches_exactly
    later_revocations_weaken_no_earlier_one
    only_blocks_can_be_lifted
    only_recorded_tokens_are_active
    operations_name_actor_and_reason
    repeated_call_changes_nothing
    revocations_survive_a_restart
    revokes_live_tokens_only
    revokes_what_an_actor_got
    since_and_until_are_inclusive
    superseded_and_revoked_are_told_apart
    sweeps_what_no_live_token_matches
}

pub(super) fn by(actor: &str) -> Attribution {
    Attribution { actor: actor.into(), decision_id: format!("of-{actor}"), reason: "incident 7".into() }
}

/// The issued token `jti` of workload `subject`, at `at`.
pub(super) fn token(jti: &str, subject: &str, at: u64) -> AuditRecord {
    AuditRecord {
        decision_id: jti.into(),
        decided_at_ms: at * 1000 + 250,
        slug: "issued".into(),
        bundle_digest: "b1".into(),
        issuer_name: "github".into(),
        subject: subject.into(),
        audience: "https://api.example".into(),
        kid: "k1".into(),
        expires_at: at + 300,
        ..AuditRecord::default()
    }
}

pub(super) fn record(store: &Store<impl Database<Alarm = Bell>>, record: AuditRecord) -> Recorded {
    done(store.record(record, NOW, &mut unlimited())).unwrap()
}

pub(super) fn add_at(
    store: &Store<impl Database<Alarm = Bell>>,
    id: &str,
    target: &RevocationTarget,
    now: UnixMilliseconds,
) -> Added {
    done(store.add_revocation(id, target.clone(), by("ops"), now)).unwrap()
}

pub(super) fn add(store: &Store<impl Database<Alarm = Bell>>, id: &str, target: &RevocationTarget) -> Added {
    add_at(store, id, target, NOW)
}

pub(super) fn in_force(store: &Store<impl Database<Alarm = Bell>>, id: &str, target: &RevocationTarget) -> Revocation {
    match add(store, id, target) {
        Added::InForce(revocation) => revocation,
        other => panic!("{id}: {other:?}"),
    }
}

fn active(store: &Store<impl Database<Alarm = Bell>>, jti: &str) -> bool {
    done(store.active(&[jti.to_owned()])).unwrap()[0]
}

pub(super) fn of_subject(subject: &str) -> TokenFilter {
    TokenFilter { issuer_name: Some("github".into()), subject: Some(subject.into()), ..TokenFilter::default() }
}

pub(super) fn issued(filter: TokenFilter) -> RevocationTarget {
    RevocationTarget::Issued(IssuedTokens { filter, since: None, until: None })
}

/// Every field of a filter, with a value of [`token`] and one that it does not have.
fn fields() -> Vec<(TokenFilter, TokenFilter)> {
    let filter = |set: fn(&mut TokenFilter) -> &mut Option<String>, value: &str| {
        let mut filter = TokenFilter::default();
        *set(&mut filter) = Some(value.to_owned());
        filter
    };
    let both = |set: fn(&mut TokenFilter) -> &mut Option<String>, value: &str, other: &str| {
        (filter(set, value), filter(set, other))
    };
    vec![
        both(|filter| &mut filter.issuer_name, "github", "gitlab"),
        both(|filter| &mut filter.subject, "a", "A"),
        both(|filter| &mut filter.audience, "https://api.example", "https://api.example/"),
        both(|filter| &mut filter.bundle_digest, "b1", "b2"),
        both(|filter| &mut filter.kid, "k1", "k2"),
    ]
}

fn each_field_matches_exactly<S: Scene>() {
    for (matching, other) in fields() {
        for (filter, revoked) in [(matching, true), (other, false)] {
            let file = S::new();
            let store = file.open();
            assert_eq!(record(&store, token("before", "a", NOW_SECONDS)), Recorded::Written);
            in_force(&store, "r", &RevocationTarget::Blocked(filter.clone()));
            assert_eq!(active(&store, "before"), !revoked, "{filter:?}");
            let expected = if revoked { Recorded::Revoked } else { Recorded::Written };
            assert_eq!(record(&store, token("after", "a", NOW_SECONDS)), expected, "{filter:?}");
            let counted = done(store.count_revoked(RevocationTarget::Blocked(filter.clone()), NOW)).unwrap();
            assert_eq!(counted.tokens, u64::from(revoked), "{filter:?}");
        }
    }
}

/// A revocation of a workload matches the tokens that it got as an actor, current or not, and for nobody else.
fn revokes_what_an_actor_got<S: Scene>() {
    let actor = |issuer: &str, subject: &str| RecordedActor { issuer_name: issuer.into(), subject: subject.into() };
    let acting = |jti: &str| {
        let actors = vec![actor("cluster", "agent"), actor("https://elsewhere.example", "bö\"t")];
        AuditRecord { actors, ..token(jti, "a", NOW_SECONDS) }
    };
    let filter = |issuer: &str, subject: Option<&str>| TokenFilter {
        issuer_name: Some(issuer.into()),
        subject: subject.map(str::to_owned),
        ..TokenFilter::default()
    };
    for (filter, revoked) in [
        (filter("cluster", Some("agent")), true),
        (filter("cluster", None), true),
        (filter("https://elsewhere.example", Some("bö\"t")), true),
        (filter("github", Some("a")), true),
        (TokenFilter { audience: Some("https://api.example".into()), ..filter("cluster", Some("agent")) }, true),
        (TokenFilter { audience: Some("https://b.example".into()), ..filter("cluster", Some("agent")) }, false),
        (TokenFilter { subject: Some("agent".into()), ..TokenFilter::default() }, true),
        // Both members together identify an actor.
        (filter("cluster", Some("bö\"t")), false),
        (filter("github", Some("agent")), false),
        (filter("cluster", Some("Agent")), false),
        (filter("cluste", None), false),
    ] {
        let file = S::new();
        let store = file.open();
        assert_eq!(record(&store, acting("before")), Recorded::Written);
        assert_eq!(record(&store, token("alone", "other", NOW_SECONDS)), Recorded::Written);
        in_force(&store, "r", &RevocationTarget::Blocked(filter.clone()));
        assert_eq!((active(&store, "before"), active(&store, "alone")), (!revoked, true), "{filter:?}");
        let expected = if revoked { Recorded::Revoked } else { Recorded::Written };
        assert_eq!(record(&store, acting("after")), expected, "{filter:?}");
        let counted = done(store.count_revoked(RevocationTarget::Blocked(filter.clone()), NOW)).unwrap();
        assert_eq!(counted.tokens, u64::from(revoked), "{filter:?}");
    }
}

fn all_fields_must_match<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for jti in ["a", "b"] {
        record(&store, token(jti, jti, NOW_SECONDS));
    }
    in_force(&store, "r", &issued(of_subject("a")));
    let elsewhere = TokenFilter { audience: Some("https://other.example".into()), ..of_subject("b") };
    in_force(&store, "s", &issued(elsewhere));
    assert_eq!(["a", "b"].map(|jti| active(&store, jti)), [false, true]);
}

fn cutoff_includes_its_second<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for (jti, at) in [("before", NOW_SECONDS - 1), ("at", NOW_SECONDS), ("after", NOW_SECONDS + 1)] {
        record(&store, token(jti, "a", at));
    }
    let revocation = in_force(&store, "r", &issued(of_subject("a")));
    let RevocationTarget::Issued(target) = revocation.target else { panic!("{:?}", revocation.target) };
    assert_eq!((target.since, target.until, revocation.at), (None, Some(NOW_SECONDS), NOW_SECONDS));
    assert_eq!(["before", "at", "after"].map(|jti| active(&store, jti)), [false, false, true]);
    assert_eq!(record(&store, token("late", "a", NOW_SECONDS)), Recorded::Revoked);
    assert_eq!(record(&store, token("new", "a", NOW_SECONDS + 1)), Recorded::Written);
}

fn since_and_until_are_inclusive<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let times = [NOW_SECONDS - 31, NOW_SECONDS - 30, NOW_SECONDS - 10, NOW_SECONDS - 9];
    for at in times {
        record(&store, token(&at.to_string(), "a", at));
    }
    let (since, until) = (Some(NOW_SECONDS - 30), Some(NOW_SECONDS - 10));
    let target = RevocationTarget::Issued(IssuedTokens { filter: of_subject("a"), since, until });
    assert_eq!(done(store.count_revoked(target.clone(), NOW)).unwrap().tokens, 2);
    in_force(&store, "r", &target);
    assert_eq!(times.map(|at| active(&store, &at.to_string())), [true, false, false, true]);
}

/// Keycloak's CVE-2026-8922 and CVE-2026-18218: one cutoff masked another.
fn later_revocations_weaken_no_earlier_one<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("a", "a", NOW_SECONDS));
    in_force(&store, "wide", &issued(TokenFilter::default()));
    let narrow = IssuedTokens { filter: of_subject("a"), since: None, until: Some(NOW_SECONDS - 100) };
    in_force(&store, "narrow", &RevocationTarget::Issued(narrow));
    in_force(&store, "other", &issued(of_subject("b")));
    assert!(!active(&store, "a"));
    assert_eq!(record(&store, token("b", "a", NOW_SECONDS)), Recorded::Revoked);
}

/// Keycloak#31296: a list in memory was gone after a restart, and revoked tokens were valid again.
fn revocations_survive_a_restart<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("a", "a", NOW_SECONDS));
    in_force(&store, "t", &RevocationTarget::Token("a".into()));
    in_force(&store, "b", &RevocationTarget::Blocked(of_subject("b")));
    drop(store);
    let store = file.open();
    assert!(!active(&store, "a"));
    assert_eq!(record(&store, token("c", "b", NOW_SECONDS)), Recorded::Revoked);
    let listed = done(store.revocations(NOW)).unwrap();
    assert_eq!(listed.iter().map(|revocation| revocation.id.as_str()).collect::<Vec<_>>(), ["b"]);
}

fn block_lasts_until_it_is_lifted<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("before", "a", NOW_SECONDS));
    let block = RevocationTarget::Blocked(of_subject("a"));
    in_force(&store, "r", &block);
    let years = later(10 * 365 * 24 * 3600);
    let late = |jti: &str, after: u64| token(jti, "a", years.seconds() + after);
    assert_eq!(record(&store, late("blocked", 0)), Recorded::Revoked);
    assert_eq!(done(store.revocations(years)).unwrap().len(), 1);
    let lifted = done(store.lift_block("r", by("chief"), years)).unwrap().unwrap();
    assert_eq!(lifted.lifted, Some(Lifted { at: years.seconds(), by: by("chief") }));
    assert_eq!((&lifted.target, &lifted.by), (&block, &by("ops")));
    assert_eq!(record(&store, late("in flight", 0)), Recorded::Revoked);
    assert_eq!(record(&store, late("new", 1)), Recorded::Written);
    assert!(!active(&store, "before"), "lifting revives nothing");
    // A repeated call changes nothing.
    let again = done(store.lift_block("r", by("other"), UnixMilliseconds(years.0 + 60_000))).unwrap();
    assert_eq!(again, Some(lifted));
    assert!(active(&store, "new"));
}

fn only_blocks_can_be_lifted<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("a", "a", NOW_SECONDS));
    in_force(&store, "set", &issued(of_subject("a")));
    in_force(&store, "token", &RevocationTarget::Token("a".into()));
    for id in ["set", "token", "unknown"] {
        assert_eq!(done(store.lift_block(id, by("ops"), NOW)), Ok(None), "{id}");
    }
    assert!(!active(&store, "a"));
    assert_eq!(store.database().column("SELECT count(*) FROM operations WHERE operation = 'lift'"), ["0"]);
}

fn repeated_call_changes_nothing<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("a", "a", NOW_SECONDS));
    let within =
        |until| RevocationTarget::Issued(IssuedTokens { filter: of_subject("a"), since: Some(NOW_SECONDS), until });
    let targets = [
        ("set", issued(of_subject("a"))),
        ("within", within(Some(NOW_SECONDS))),
        ("block", RevocationTarget::Blocked(of_subject("a"))),
        ("token", RevocationTarget::Token("a".into())),
    ];
    for (id, target) in &targets {
        let first = in_force(&store, id, target);
        assert_eq!(add_at(&store, id, target, later(10)), Added::InForce(first), "{id}");
        assert_eq!(add(&store, id, &issued(of_subject("b"))), Added::Conflict, "{id}");
    }
    assert_eq!(add(&store, "within", &within(Some(NOW_SECONDS + 1))), Added::Conflict);
    assert_eq!(store.database().count("revocations"), 4);
    let operations = "SELECT operation || ' ' || revocation_id FROM operations ORDER BY seq";
    assert_eq!(store.database().column(operations), ["revoke set", "revoke within", "block block", "revoke token"]);
}

fn operations_name_actor_and_reason<S: Scene>() {
    let file = S::new();
    let store = file.open();
    in_force(&store, "r", &RevocationTarget::Blocked(of_subject("a")));
    done(store.lift_block("r", by("chief"), later(5))).unwrap();
    let operations = "SELECT at || ' ' || operation || ' ' || revocation_id || ' ' || issuer_name || ' ' || subject \
        || ' ' || actor || ' ' || actor_decision_id || ' ' || reason FROM operations ORDER BY seq";
    let expected = [
        format!("{NOW_SECONDS} block r github a ops of-ops incident 7"),
        format!("{} lift r github a chief of-chief incident 7", NOW_SECONDS + 5),
    ];
    assert_eq!(store.database().column(operations), expected);
}

/// Anyone can ask to revoke a token; only live ones cost a row.
fn revokes_live_tokens_only<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("live", "a", NOW_SECONDS - 299));
    record(&store, token("expired", "a", NOW_SECONDS - 300));
    let denial = Refused { kind: RefusedKind::Denial, key: "k".into() };
    record(&store, AuditRecord { refused: Some(denial), ..token("refused", "a", NOW_SECONDS) });
    for jti in ["expired", "refused", "unknown"] {
        assert_eq!(add(&store, jti, &RevocationTarget::Token(jti.into())), Added::NoSuchToken, "{jti}");
    }
    in_force(&store, "live", &RevocationTarget::Token("live".into()));
    assert_eq!((store.database().count("revocations"), store.database().count("operations")), (1, 1));
}

/// A token with a valid signature that was never recorded was signed with a stolen key.
fn only_recorded_tokens_are_active<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("a", "a", NOW_SECONDS));
    let denial = Refused { kind: RefusedKind::Denial, key: "k".into() };
    record(&store, AuditRecord { refused: Some(denial), ..token("refused", "a", NOW_SECONDS) });
    let asked = |jtis: &[&str]| done(store.active(&jtis.iter().map(|jti| (*jti).to_owned()).collect::<Vec<_>>()));
    assert_eq!(asked(&["a", "unknown"]), Ok(vec![true, false]));
    assert_eq!(asked(&["refused", "a"]), Ok(vec![false, true]));
    assert_eq!(asked(&["a", "a"]), Ok(vec![true, true]));
    assert_eq!(asked(&[]), Err(Error::Invalid(Limit::Tokens)));
    assert_eq!(asked(&["a", "b", "c"]), Err(Error::Invalid(Limit::Tokens)));
}

fn counts_live_tokens_by_workload<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for (jti, subject, at) in [
        ("1", "a", NOW_SECONDS),
        ("2", "a", NOW_SECONDS - 10),
        ("3", "b", NOW_SECONDS - 20),
        ("expired", "a", NOW_SECONDS - 300),
    ] {
        record(&store, token(jti, subject, at));
    }
    let all = done(store.count_revoked(issued(TokenFilter::default()), NOW)).unwrap();
    let workload = |subject: &str, tokens, at| AffectedWorkload {
        issuer_name: "github".into(),
        subject: subject.into(),
        audience: "https://api.example".into(),
        tokens,
        expires_at: at + 300,
    };
    let workloads = vec![workload("a", 2, NOW_SECONDS), workload("b", 1, NOW_SECONDS - 20)];
    assert_eq!(all, Affected { tokens: 3, expires_at: NOW_SECONDS + 300, complete: true, workloads });
    let none = done(store.count_revoked(issued(of_subject("c")), NOW)).unwrap();
    assert_eq!(none, Affected { complete: true, ..Affected::default() });
    let one = done(store.count_revoked(RevocationTarget::Token("3".into()), NOW)).unwrap();
    assert_eq!((one.tokens, one.expires_at), (1, NOW_SECONDS + 280));
}

fn bounds_the_workloads_that_it_lists<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for number in 0..=WORKLOADS_MAX {
        record(&store, token(&number.to_string(), &format!("s{number:02}"), NOW_SECONDS));
    }
    let all = done(store.count_revoked(issued(TokenFilter::default()), NOW)).unwrap();
    assert_eq!((all.tokens, all.workloads.len() as u64), (WORKLOADS_MAX + 1, WORKLOADS_MAX));
}

/// A count says so when older decisions may be of live tokens.
fn bounds_the_decisions_that_it_reads<S: Scene>() {
    for (oldest, complete) in [(NOW_SECONDS - TOKEN_SECONDS_MAX - 1, true), (NOW_SECONDS - TOKEN_SECONDS_MAX, false)] {
        let file = S::new();
        let store = file.open();
        record(&store, token("oldest", "a", oldest));
        record(&store, AuditRecord { expires_at: NOW_SECONDS + 1, ..token("newest", "a", NOW_SECONDS) });
        let move_to = |jti: &str, seq: u64| {
            store
                .database()
                .query(&format!("UPDATE audit SET seq = {seq} WHERE decision_id = '{jti}'"), vec![])
                .unwrap();
        };
        move_to("newest", DECISIONS_COUNTED_MAX);
        let counted = || done(store.count_revoked(issued(TokenFilter::default()), NOW)).unwrap();
        assert!(counted().complete, "all are read");
        move_to("newest", DECISIONS_COUNTED_MAX + 1);
        assert_eq!((counted().tokens, counted().complete), (1, complete), "{oldest}");
    }
}

fn sweeps_what_no_live_token_matches<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("a", "a", NOW_SECONDS));
    in_force(&store, "token", &RevocationTarget::Token("a".into()));
    in_force(&store, "set", &issued(of_subject("a")));
    in_force(&store, "block", &RevocationTarget::Blocked(of_subject("b")));
    let kept_at = |seconds: u64| {
        file.set_clock(later(seconds + 1));
        for number in 0..crate::store::WRITES_PER_SWEEP {
            let now = UnixMilliseconds(later(seconds).0 + number);
            done(store.consume(&format!("{seconds}-{number}"), 1, NOW_SECONDS, u32::MAX.into(), now, &mut unlimited()))
                .unwrap();
        }
        store.database().column("SELECT id FROM revocations ORDER BY id")
    };
    let margin = crate::time::SWEEP_MARGIN_SECONDS;
    assert_eq!(kept_at(300 + margin), ["block", "set", "token"]);
    assert_eq!(kept_at(301 + margin), ["block", "set"]);
    assert_eq!(kept_at(TOKEN_SECONDS_MAX + margin), ["block", "set"]);
    assert_eq!(kept_at(TOKEN_SECONDS_MAX + margin + 1), ["block"]);
    assert_eq!(store.database().count("operations"), 3);
}

fn bounds_the_number_of_revocations<S: Scene>() {
    let file = S::new();
    let store = file.open();
    record(&store, token("a", "a", NOW_SECONDS));
    let block = RevocationTarget::Blocked(of_subject("b"));
    for number in 1..REVOCATIONS_MAX {
        in_force(&store, &number.to_string(), &block);
    }
    in_force(&store, "last", &block);
    assert_eq!(add(&store, "over", &block), Added::TooMany);
    in_force(&store, "last", &block);
    in_force(&store, "token", &RevocationTarget::Token("a".into()));
    assert_eq!(done(store.revocations(NOW)).unwrap().len() as u64, REVOCATIONS_MAX);
}

fn bounds_texts<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let call = |id: usize, field: usize, reason: usize| {
        let filter = TokenFilter { audience: Some("x".repeat(field)), ..TokenFilter::default() };
        let by = Attribution { reason: "x".repeat(reason), ..by("ops") };
        done(store.add_revocation(&"x".repeat(id), RevocationTarget::Blocked(filter), by, NOW)).map(drop)
    };
    assert_eq!(call(NAME_BYTES_MAX, FILTER_BYTES_MAX, FILTER_BYTES_MAX), Ok(()));
    for (id, field, reason, limit) in [
        (0, 1, 0, Limit::Name),
        (NAME_BYTES_MAX + 1, 1, 0, Limit::Name),
        (1, 0, 0, Limit::Filter),
        (1, FILTER_BYTES_MAX + 1, 0, Limit::Filter),
        (1, 1, FILTER_BYTES_MAX + 1, Limit::Filter),
    ] {
        assert_eq!(call(id, field, reason), Err(Error::Invalid(limit)));
    }
    let token =
        |bytes: usize| done(store.add_revocation("t", RevocationTarget::Token("x".repeat(bytes)), by("ops"), NOW));
    assert_eq!(token(DECISION_ID_BYTES_MAX), Ok(Added::NoSuchToken));
    assert_eq!(token(DECISION_ID_BYTES_MAX + 1), Err(Error::Invalid(Limit::DecisionId)));
}

/// Holders of tokens can revoke many: issuing must not become slower by that.
#[test]
fn finds_revoked_tokens_by_index() {
    let file = File::new();
    let store = file.open();
    let plan = |sql: String, parameters: usize| {
        let rows = store.database().query(&format!("EXPLAIN QUERY PLAN {sql}"), vec![Value::Null; parameters]).unwrap();
        let details = rows.into_iter().map(|mut row| match row.swap_remove(3) {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        });
        details.filter(|detail| detail.contains(" r ") || detail.ends_with(" r")).collect::<Vec<_>>()
    };
    let active = crate::revocation_rows::active(crate::database::Dialect::Sqlite, &["a".to_owned()]);
    let insert = crate::sqlite::audit::insert(vec![]);
    for (sql, parameters) in [
        (active.sql.into_owned(), 1),
        (
            insert.sql.replace(
                "(VALUES )",
                "(VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, NULL, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32))",
            ),
            0,
        ),
    ] {
        let steps = plan(sql, parameters);
        assert!(!steps.is_empty() && steps.iter().all(|step| step.contains("revocations_jti")), "{steps:?}");
    }
}

/// A database as it was before tokens could be revoked.
#[test]
fn adds_revocations_to_an_older_database() {
    let file = File::new();
    record(&file.open(), token("before", "a", NOW_SECONDS));
    let old = file.connect();
    for statement in
        ["DROP TABLE revocations", "DROP TABLE operations", "UPDATE meta SET value = 4 WHERE name = 'tables'"]
    {
        old.query(statement, vec![]).unwrap();
    }
    drop(old);
    let store = file.open();
    in_force(&store, "r", &issued(of_subject("a")));
    assert!(!active(&store, "before"));
    assert_eq!(record(&store, token("after", "a", NOW_SECONDS)), Recorded::Revoked);
}

fn superseded_and_revoked_are_told_apart<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let of = |jti: &str, subject: &str, number| AuditRecord {
        generation: Some(Generation { of: "one".into(), number }),
        ..token(jti, subject, NOW_SECONDS)
    };
    assert_eq!(record(&store, of("1", "b", 2)), Recorded::Written);
    in_force(&store, "r", &RevocationTarget::Blocked(of_subject("a")));
    assert_eq!(record(&store, of("2", "b", 1)), Recorded::Superseded);
    assert_eq!(record(&store, of("3", "a", 2)), Recorded::Revoked);
    assert_eq!(record(&store, of("4", "b", 2)), Recorded::Written);
}
