//! The audit record.

use super::*;

on_both! {
    a_decision_is_recorded_once
    bounds_the_record
    keeps_every_field
    many_connections_append_without_loss
    remembers_highest_generation_and_refuses_lower
}

fn record(decision_id: &str) -> AuditRecord {
    AuditRecord {
        decision_id: decision_id.into(),
        decided_at_ms: NOW.0,
        refused: None,
        slug: "issued".into(),
        bundle_digest: "b".into(),
        determining_rules: vec!["deploy-from-main".into(), "a\"b".into()],
        erring_rules: vec![],
        cedar_request: "{}".into(),
        issuer_name: "github".into(),
        subject: "repo:acme/app".into(),
        subject_jti: "".into(),
        subject_digest: "00ff".into(),
        audience: "https://deploy.example".into(),
        scopes: vec!["deploy:read".into()],
        kid: "k".into(),
        expires_at: NOW_SECONDS + 300,
        timings: vec![("verify".into(), 812), ("sign".into(), 214)],
        generation: None,
        actors: vec![],
        token_digest: "aa".into(),
        key_thumbprint: None,
        status: None,
        salt: (1, 2, 3, 4),
    }
}

fn denial(key: &str) -> Refused {
    Refused { kind: RefusedKind::Denial, key: key.into() }
}

fn append(store: &Store<impl Database<Alarm = Bell>>, record: AuditRecord) -> Result<(), Error> {
    let recorded = done(store.record(record, NOW, &mut unlimited()))?;
    assert_eq!(recorded, Recorded::Written);
    Ok(())
}

fn of_generation(decision_id: &str, of: &str, number: u64) -> AuditRecord {
    let of = of.into();
    AuditRecord { generation: Some(Generation { of, number }), ..record(decision_id) }
}

/// An older HSM, or a gateway that was restored from one, restores no revoked key.
fn remembers_highest_generation_and_refuses_lower<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let issued = |id: &str, of: &str, number| done(store.record(of_generation(id, of, number), NOW, &mut unlimited()));
    for (id, of, number, expected) in [
        ("a", "one", 3, Recorded::Written),
        ("b", "one", 3, Recorded::Written),
        ("c", "one", 2, Recorded::Superseded),
        ("d", "two", 1, Recorded::Written),
        ("e", "one", 4, Recorded::Written),
        ("f", "one", 3, Recorded::Superseded),
    ] {
        assert_eq!(issued(id, of, number), Ok(expected), "{id}");
    }
    append(&store, record("without")).unwrap();
    for (of, highest) in [("one", Some(4)), ("two", Some(1)), ("three", None)] {
        assert_eq!(done(store.generation_get(of)), Ok(highest), "{of}");
    }
    // Refusals can be recorded, and generations outlive audit records and instances.
    append(&store, record("c")).unwrap();
    let file_store = file.connect();
    file_store.query("DELETE FROM audit", vec![]).unwrap();
    let again = file.open();
    let lower = of_generation("g", "one", 3);
    assert_eq!(done(again.record(lower, NOW, &mut unlimited())), Ok(Recorded::Superseded));
    let seen = file_store.query("SELECT name, highest FROM generations ORDER BY name", vec![]);
    let seen_of = |of: &str, highest| vec![Value::Text(of.into()), Value::Integer(highest)];
    assert_eq!(seen.unwrap(), [seen_of("one", 4), seen_of("two", 1)]);
    for bytes in [0, GENERATION_OF_BYTES_MAX + 1] {
        assert_eq!(issued("h", &"x".repeat(bytes), 1), Err(Error::Invalid(Limit::GenerationOf)));
        assert_eq!(done(store.generation_get(&"x".repeat(bytes))), Err(Error::Invalid(Limit::GenerationOf)));
    }
    assert_eq!(issued("h", &"x".repeat(GENERATION_OF_BYTES_MAX), 1), Ok(Recorded::Written));
}

fn keeps_every_field<S: Scene>() {
    let file = S::new();
    let actor = RecordedActor { issuer_name: "cluster".into(), subject: "a\"b".into() };
    append(&file.open(), AuditRecord { actors: vec![actor], ..record("first") }).unwrap();
    let all = "SELECT seq, decision_id, decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules, \
        cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, timings, \
        generation_of, generation, refused, actors FROM audit";
    let rows = file.connect().query(all, vec![]).unwrap();
    let text = |text: &str| Value::Text(text.into());
    let number = |number: u64| Value::Integer(number as i64);
    let expected = vec![
        Value::Integer(1),
        text("first"),
        number(NOW.0),
        text("issued"),
        text("issued"),
        text("b"),
        text(r#"["deploy-from-main","a\"b"]"#),
        text("[]"),
        text("{}"),
        text("github"),
        text("repo:acme/app"),
        text(""),
        text("00ff"),
        text("https://deploy.example"),
        text(r#"["deploy:read"]"#),
        text("k"),
        number(NOW_SECONDS + 300),
        text(r#"[["verify",812],["sign",214]]"#),
        Value::Null,
        Value::Null,
        Value::Null,
        text(r#"[["cluster","a\"b"]]"#),
    ];
    assert_eq!(rows, vec![expected]);
}

fn a_decision_is_recorded_once<S: Scene>() {
    let file = S::new();
    let store = file.open();
    append(&store, record("first")).unwrap();
    let again = append(&store, record("first")).unwrap_err();
    assert_eq!(again.slug(), "store.unavailable");
    assert!(again.to_string().contains(S::NOT_UNIQUE), "{again}");
    append(&store, AuditRecord { refused: Some(denial("second")), ..record("second") }).unwrap();
    assert_eq!(file.connect().column("SELECT decision_id FROM audit ORDER BY seq"), ["first", "second"]);
}

fn bounds_the_record<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let id = |bytes: usize| append(&store, record(&"d".repeat(bytes)));
    assert_eq!(id(0), Err(Error::Invalid(Limit::DecisionId)));
    assert_eq!(id(1), Ok(()));
    assert_eq!(id(DECISION_ID_BYTES_MAX), Ok(()));
    assert_eq!(id(DECISION_ID_BYTES_MAX + 1), Err(Error::Invalid(Limit::DecisionId)));
    let key = |bytes: usize| {
        let refused = Some(denial(&"k".repeat(bytes)));
        let id = format!("key-{bytes}");
        append(&store, AuditRecord { refused, ..record(&id) })
    };
    assert_eq!(key(0), Err(Error::Invalid(Limit::RefusedKey)));
    assert_eq!(key(1), Ok(()));
    assert_eq!(key(REFUSED_KEY_BYTES_MAX), Ok(()));
    assert_eq!(key(REFUSED_KEY_BYTES_MAX + 1), Err(Error::Invalid(Limit::RefusedKey)));
    let number = AuditRecord { expires_at: u64::MAX, ..record("x") };
    assert_eq!(append(&store, number), Err(Error::Invalid(Limit::NumberTooLarge)));
    let empty = AuditRecord { decision_id: "long".into(), ..AuditRecord::default() };
    // Beside the filling: the id, the outcome and four empty lists.
    let filling = AUDIT_ENTRY_BYTES_MAX - "long".len() - "issued".len() - 4 * "[]".len();
    let filled = |bytes: usize| AuditRecord { cedar_request: "x".repeat(bytes), ..empty.clone() };
    assert_eq!(append(&store, filled(filling + 1)), Err(Error::Invalid(Limit::AuditEntry)));
    assert_eq!(append(&store, filled(filling)), Ok(()));
}

fn many_connections_append_without_loss<S: Scene>() {
    let file = S::new();
    drop(file.open());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let file = &file;
            scope.spawn(move || {
                let store = file.open();
                for number in 0..8 {
                    append(&store, record(&format!("{thread}-{number}"))).unwrap();
                }
            });
        }
    });
    assert_eq!(file.connect().count("audit"), 64);
}

/// A database as it was before generations were remembered.
#[test]
fn adds_generations_to_an_older_database() {
    let file = File::new();
    append(&file.open(), record("before")).unwrap();
    let old = file.connect();
    for statement in [
        "DROP TRIGGER remember_generation",
        "DROP TABLE generations",
        "ALTER TABLE audit DROP COLUMN generation",
        "ALTER TABLE audit DROP COLUMN generation_of",
        "UPDATE meta SET value = 2 WHERE name = 'tables'",
    ] {
        old.query(statement, vec![]).unwrap();
    }
    drop(old);
    let store = file.open();
    append(&store, of_generation("after", "one", 2)).unwrap();
    let lower = of_generation("lower", "one", 1);
    assert_eq!(done(store.record(lower, NOW, &mut unlimited())), Ok(Recorded::Superseded));
    let kept = file.connect().column("SELECT decision_id FROM audit ORDER BY seq");
    assert_eq!(kept, ["before", "after"]);
}
