//! The transparency log: which records become leaves, and that nothing forks or loses one.

use vouchsafe_tlog::{Checkpoint, Frontier, Hash, KeyKind, Note, Proof, VerifierKey, decode, leaf_hash};

use super::*;

on_both! {
    an_old_copy_numbers_nothing
    counted_refusals_add_no_leaf
    crash_before_publication_loses_nothing
    proofs_hold_for_every_decision
    records_become_leaves_in_order
    renewed_mark_begins_another_log
    tiles_are_those_of_the_tree
    two_brokers_make_one_tree
    unknown_decisions_have_no_proof
}

fn record(id: &str) -> AuditRecord {
    AuditRecord {
        decision_id: id.into(),
        decided_at_ms: NOW.0,
        slug: "issued".into(),
        subject: "repo:acme/app\0".into(),
        kid: "k".into(),
        expires_at: NOW_SECONDS + 300,
        token_digest: "00ff".into(),
        salt: (1, 2, 3, 4),
        ..AuditRecord::default()
    }
}

fn append<D: Database<Alarm = Bell>>(store: &Store<D>, ids: impl IntoIterator<Item = String>) {
    for id in ids {
        assert_eq!(done(store.record(record(&id), NOW, &mut unlimited())), Ok(Recorded::Written));
    }
}

fn numbered(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|number| format!("decision-{number}"))
}

fn grow<D: Database<Alarm = Bell>>(store: &Store<D>) -> Option<TreeHead> {
    done(store.log_grow(true, NOW)).unwrap()
}

/// Publishes what a signer would have signed.
fn publish<D: Database<Alarm = Bell>>(store: &Store<D>, head: &TreeHead) -> bool {
    let origin = format!("broker.example/log/{}", head.log);
    let root = head.root.as_slice().try_into().unwrap();
    let text = Checkpoint { origin: origin.clone(), size: head.size, root }.to_string();
    let line = VerifierKey::new(&origin, KeyKind::Ed25519, [7; 32]).unwrap().line(&[9; 64]);
    let name = log_pointer_name(head.log);
    done(store.pointer_compare_and_swap(&name, head.revision, format!("{text}\n{line}"))).unwrap()
}

fn grow_and_publish<D: Database<Alarm = Bell>>(store: &Store<D>) -> TreeHead {
    let head = grow(store).unwrap();
    assert!(publish(store, &head));
    head
}

/// The leaves of a log, as they are in the database.
fn leaves(database: &impl Inspect, log: u64) -> Vec<Hash> {
    let hashes = database.column(&format!("SELECT hash FROM log_leaves WHERE log = {log} ORDER BY log_index"));
    hashes.iter().map(|hash| decode(hash).unwrap()).collect()
}

fn root(leaves: &[Hash]) -> Vec<u8> {
    let mut tree = Frontier::default();
    leaves.iter().for_each(|leaf| tree.push(*leaf));
    tree.root().to_vec()
}

/// Sets the creation mark and the mark of use, in seconds.
fn set_marks<D: Database + Inspect>(database: &D, created_at: u64, alive_at: u64) {
    let sql = match D::DIALECT {
        Dialect::Postgres => vec![format!("UPDATE mark SET created_at = {created_at}, alive_at = {alive_at}")],
        Dialect::Sqlite => {
            let set = |name, value| format!("INSERT OR REPLACE INTO meta (name, value) VALUES ('{name}', {value})");
            vec![set("created_at", created_at), set("alive_at", alive_at)]
        }
    };
    sql.iter().for_each(|sql| drop(database.query(sql, vec![]).unwrap()));
}

fn records_become_leaves_in_order<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    assert_eq!(grow(&store), None);
    assert_eq!(done(store.log_checkpoint(None)), Ok(None));
    append(&store, numbered(0..3));
    let head = grow_and_publish(&store);
    assert_eq!((head.log, head.size, head.revision), (NOW_SECONDS, 3, None));
    let ids = store.database().column("SELECT decision_id FROM log_leaves ORDER BY log_index");
    assert_eq!(ids, numbered(0..3).collect::<Vec<_>>());
    assert_eq!(head.root, root(&leaves(store.database(), head.log)));
    assert_eq!(
        store.database().column("SELECT leaf FROM audit ORDER BY seq"),
        store.database().column("SELECT hash FROM log_leaves ORDER BY log_index")
    );
    assert_eq!(grow(&store), None);
    let checkpoint = done(store.log_checkpoint(None)).unwrap().unwrap();
    assert_eq!(done(store.log_checkpoint(Some(head.log))), Ok(Some(checkpoint.clone())));
    assert_eq!(Checkpoint::parse(Note::parse(&checkpoint).unwrap().text()).unwrap().size, 3);
    append(&store, numbered(3..5));
    let head = grow_and_publish(&store);
    assert_eq!((head.size, head.revision), (5, Some(1)));
    assert_eq!(head.root, root(&leaves(store.database(), head.log)));
}

fn proofs_hold_for_every_decision<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    append(&store, numbered(0..5));
    assert_eq!(done(store.log_proof("decision-1")), Ok(LogProof::Pending));
    let head = grow(&store).unwrap();
    assert_eq!(done(store.log_proof("decision-1")), Ok(LogProof::Pending), "numbered, not published");
    assert!(publish(&store, &head));
    for id in numbered(0..5) {
        let LogProof::Included(proof) = done(store.log_proof(&id)).unwrap() else { panic!("{id}") };
        let proof = Proof::parse(&proof).unwrap();
        let checkpoint = Checkpoint::parse(proof.note.text()).unwrap();
        assert!(proof.includes(&leaf_hash(&proof.extra), &checkpoint), "{id}");
        assert!(proof.extra.windows(id.len()).any(|bytes| bytes == id.as_bytes()));
        assert!(!proof.extra.windows(4).any(|bytes| bytes == b"acme"), "the entry hides the record");
    }
    store.database().query("DELETE FROM audit WHERE decision_id = 'decision-2'", vec![]).unwrap();
    let LogProof::Included(proof) = done(store.log_proof("decision-2")).unwrap() else { panic!("deleted") };
    assert!(Proof::parse(&proof).unwrap().extra.is_empty());
}

fn unknown_decisions_have_no_proof<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    assert_eq!(done(store.log_proof("decision-0")), Ok(LogProof::Unknown));
    assert_eq!(done(store.log_proof("")), Err(Error::Invalid(Limit::DecisionId)));
    append(&store, numbered(0..1));
    // As a broker of an older version writes them.
    store.database().query("UPDATE audit SET leaf = NULL, salt = NULL", vec![]).unwrap();
    assert_eq!(done(store.log_proof("decision-0")), Ok(LogProof::Unknown));
}

/// More than two full tiles, in several passes that do not end where tiles end.
fn tiles_are_those_of_the_tree<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    for range in [0..100, 100..257, 257..258, 258..530] {
        append(&store, numbered(range));
        let head = grow_and_publish(&store);
        assert_eq!(head.root, root(&leaves(store.database(), head.log)), "{}", head.size);
    }
    let all = leaves(store.database(), NOW_SECONDS);
    let tile = |path: &str| done(store.log_tile(None, path)).unwrap();
    assert_eq!(tile("0/000"), Some(all[..256].concat()));
    assert_eq!(tile("0/000.p/7"), Some(all[..7].concat()));
    assert_eq!(tile("0/002.p/18"), Some(all[512..].concat()));
    assert_eq!(tile("1/000.p/2"), Some([root(&all[..256]), root(&all[256..512])].concat()));
    assert_eq!(done(store.log_tile(Some(NOW_SECONDS), "1/000.p/1")), Ok(Some(root(&all[..256]))));
    for absent in
        ["0/002", "0/002.p/19", "0/003.p/1", "1/000.p/3", "1/001.p/1", "2/000.p/1", "0/x000/000", "entries/000"]
    {
        assert_eq!(tile(absent), None, "{absent}");
    }
    assert_eq!(done(store.log_tile(Some(1), "0/000")), Ok(None), "another log");
}

fn two_brokers_make_one_tree<S: Scene>() {
    let scene = S::new();
    let [one, other] = [scene.open(), scene.open()];
    append(&one, numbered(0..300));
    let heads = [grow(&one).unwrap(), grow(&other).unwrap()];
    assert_eq!(heads[0], heads[1]);
    assert!(publish(&one, &heads[0]));
    append(&other, numbered(300..301));
    let next = grow_and_publish(&one);
    assert!(!publish(&other, &heads[1]), "the checkpoint has moved on");
    let published = done(one.log_checkpoint(None)).unwrap().unwrap();
    assert_eq!(Checkpoint::parse(Note::parse(&published).unwrap().text()).unwrap().size, next.size);
    // The lease keeps them from doing the same work.
    append(&one, numbered(301..302));
    assert!(done(one.log_grow(false, NOW)).unwrap().is_some());
    assert_eq!(done(other.log_grow(false, NOW)), Ok(None));
}

fn crash_before_publication_loses_nothing<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    append(&store, numbered(0..260));
    let lost = grow(&store).unwrap();
    drop(store);
    let store = scene.open();
    append(&store, numbered(260..261));
    let head = grow_and_publish(&store);
    assert_eq!((lost.size, head.size), (260, 261));
    assert_eq!(lost.root, root(&leaves(store.database(), head.log)[..260]));
    assert_eq!(head.root, root(&leaves(store.database(), head.log)));
}

/// A restored database goes on with another log, and no record is lost between the two.
fn renewed_mark_begins_another_log<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    append(&store, numbered(0..2));
    let old = grow_and_publish(&store);
    append(&store, numbered(2..4));
    let late = grow(&store).unwrap();
    set_marks(store.database(), NOW_SECONDS + 100, NOW_SECONDS);
    append(&store, numbered(4..5));
    let new = grow_and_publish(&store);
    assert!(!publish(&store, &late), "the old log is closed");
    assert_eq!((old.log, old.size, new.log, new.size), (NOW_SECONDS, 2, NOW_SECONDS + 100, 3));
    assert_eq!(new.root, root(&leaves(store.database(), new.log)));
    for (log, size) in [(old.log, 2), (new.log, 3)] {
        let note = done(store.log_checkpoint(Some(log))).unwrap().unwrap();
        assert_eq!(Checkpoint::parse(Note::parse(&note).unwrap().text()).unwrap().size, size);
    }
    for id in numbered(0..5) {
        assert!(matches!(done(store.log_proof(&id)), Ok(LogProof::Included(_))), "{id}");
    }
}

fn an_old_copy_numbers_nothing<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    append(&store, numbered(0..1));
    let [old, recent] = [NOW_SECONDS - 16, NOW_SECONDS - 15];
    set_marks(store.database(), NOW_SECONDS, old);
    assert_eq!((grow(&store), store.database().count("log_leaves")), (None, 0));
    set_marks(store.database(), NOW_SECONDS, recent);
    assert_eq!(grow(&store).map(|head| head.size), Some(1));
}

fn counted_refusals_add_no_leaf<S: Scene>() {
    let scene = S::new();
    let store = scene.open();
    for id in numbered(0..5) {
        let refused = Some(Refused { kind: RefusedKind::Denial, key: "k".into() });
        done(store.record(AuditRecord { refused, ..record(&id) }, NOW, &mut unlimited())).unwrap();
    }
    assert_eq!(grow_and_publish(&store).size, REFUSALS_IN_FULL_MAX);
    assert_eq!(grow(&store), None);
    let LogProof::Included(proof) = done(store.log_proof("decision-2")).unwrap() else { panic!("recorded in full") };
    let proof = Proof::parse(&proof).unwrap();
    // Its counter has changed since.
    assert!(proof.includes(&leaf_hash(&proof.extra), &Checkpoint::parse(proof.note.text()).unwrap()));
}

/// Every column that never changes, and the salt.
#[test]
fn leaf_commits_to_every_column() {
    let mut values: Vec<Value> = COMMITTED.iter().map(|name| Value::Text((*name).to_owned())).collect();
    let expires_at = COMMITTED.iter().position(|name| *name == "expires_at").unwrap();
    values[expires_at] = Value::Integer(1);
    let of = |values: &[Value]| Leaf::of(&[7; 32], values.iter()).unwrap().hash;
    let leaf = of(&values);
    for place in 0..values.len() {
        let mut other = values.clone();
        other[place] = if place == expires_at { Value::Integer(2) } else { Value::Text("x".into()) };
        assert_ne!(of(&other), leaf, "{}", COMMITTED[place]);
    }
    values.swap(0, 1);
    assert_ne!(of(&values), leaf);
    values.swap(0, 1);
    assert_ne!(Leaf::of(&[8; 32], values.iter()).unwrap().hash, leaf);
    assert_eq!(Leaf::of(&[7; 32], values[1..].iter()), Err(Error::Unavailable(Cause::UnexpectedRow)));
}

#[test]
fn committed_columns_are_those_of_a_record() {
    let record: Vec<_> = crate::postgres::audit::COLUMNS.iter().map(|(name, _)| *name).collect();
    assert_eq!(COMMITTED[..record.len()], record);
}

/// Brokers of the version before write to the same database meanwhile.
#[test]
fn log_begins_after_the_records_of_older_versions() {
    let file = File::new();
    let database = file.connect();
    let store = file.open();
    append(&store, numbered(0..2));
    for sql in ["UPDATE audit SET leaf = NULL, salt = NULL", "DELETE FROM meta WHERE name IN ('tables', 'log_from')"] {
        database.query(sql, vec![]).unwrap();
    }
    let store = file.open();
    append(&store, numbered(2..3));
    database.query("INSERT INTO audit SELECT seq + 1, 'old', decided_at_ms, outcome, slug, bundle_digest, determining_rules, \
        erring_rules, cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, \
        timings, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM audit ORDER BY seq DESC LIMIT 1", vec![]).unwrap();
    append(&store, numbered(4..5));
    assert_eq!(grow_and_publish(&store).size, 2);
    assert_eq!(database.column("SELECT decision_id FROM log_leaves ORDER BY log_index"), ["decision-2", "decision-4"]);
}

/// Prints what a log of 10^6 decisions costs.
#[test]
#[ignore = "measures: run it with --ignored --nocapture"]
fn measures_a_million_decisions() {
    use std::time::Instant;
    let file = File::new();
    let store = file.open();
    let database = file.connect();
    // Any 32 bytes in Base64.
    let hash = "printf('%042d0=', i)";
    database
        .query(
            &format!(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) \
                 INSERT INTO audit (decision_id, decided_at_ms, outcome, slug, bundle_digest, determining_rules, erring_rules, \
                 cedar_request, issuer_name, subject, subject_jti, subject_digest, audience, scopes, kid, expires_at, \
                 timings, salt, token_digest, leaf) SELECT 'decision-' || i, {}, 'issued', 'issued', '', '[]', '[]', '', \
                 '', '', '', '', '', '[]', 'k', 0, '[]', {hash}, '', {hash} FROM n",
                NOW.0
            ),
            vec![],
        )
        .unwrap();
    let bytes = || -> u64 {
        let sizes = database.column("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
        sizes[0].parse().unwrap()
    };
    let before = bytes();
    let (start, mut passes, mut slowest) = (Instant::now(), 0_u32, std::time::Duration::ZERO);
    let mut size = 0;
    loop {
        let pass = Instant::now();
        let Some(head) = grow(&store) else { break };
        assert!(publish(&store, &head));
        slowest = slowest.max(pass.elapsed());
        (passes, size) = (passes + 1, head.size);
    }
    assert_eq!(size, 1_000_000);
    let all = start.elapsed();
    println!("{passes} passes of {LEAVES_PER_PASS_MAX}: {:?} each, slowest {slowest:?}", all / passes);
    println!("leaves and tiles: {} bytes per decision", (bytes() - before) / size);
    println!("tiles alone: {} bytes", database.column("SELECT sum(length(hashes)) FROM log_tiles")[0]);
    let append_one = Instant::now();
    append(&store, ["last".to_owned()]);
    grow_and_publish(&store);
    println!("a record and its checkpoint: {:?}", append_one.elapsed());
    let proofs = Instant::now();
    for number in (0..1_000_000).step_by(1000) {
        let proof = done(store.log_proof(&format!("decision-{number}"))).unwrap();
        assert!(matches!(proof, LogProof::Included(_)));
    }
    println!("a proof: {:?}", proofs.elapsed() / 1000);
    let tiles = Instant::now();
    for index in 0..1000 {
        let path = vouchsafe_tlog::TileId { level: 0, index }.path(256);
        assert!(done(store.log_tile(None, &path)).unwrap().is_some());
    }
    println!("a full tile of leaves: {:?}", tiles.elapsed() / 1000);
}
