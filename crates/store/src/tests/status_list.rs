//! Status lists, and the key of a token.

use super::revocations::{in_force, issued, of_subject, record, token};
use super::*;
use vouchsafe_types::STATUS_LIST_INDEXES;

on_both! {
    each_block_has_indexes_of_its_own
    keeps_an_expired_token_for_a_minute
    lists_revoked_tokens_only
    names_lists_with_live_tokens
    records_key_and_status
    unknown_lists_are_none
}

type Scenes<S> = Store<<S as Scene>::Db>;

fn lease<S: Scene>(store: &Scenes<S>) -> StatusBlock {
    done(store.lease_status()).unwrap()
}

fn list<S: Scene>(store: &Scenes<S>, name: &str, now: UnixMilliseconds) -> Option<StatusList> {
    done(store.status_list(name, now)).unwrap()
}

fn revoked<S: Scene>(store: &Scenes<S>, name: &str) -> Option<Vec<u32>> {
    list::<S>(store, name, NOW).map(|list| list.revoked)
}

fn with_status(jti: &str, subject: &str, list: &str, index: u32) -> AuditRecord {
    AuditRecord { status: Some(StatusReference { list: list.into(), index }), ..token(jti, subject, NOW_SECONDS) }
}

/// Index reuse: two tokens with one index would be revoked together, or worse, apart.
fn each_block_has_indexes_of_its_own<S: Scene>() {
    let file = S::new();
    let (one, two) = (file.open(), file.open());
    let blocks = [&one, &two, &one].map(lease::<S>);
    let name = blocks[0].list.clone();
    for (block, first) in blocks.iter().zip([0, STATUS_BLOCK_INDEXES, 2 * STATUS_BLOCK_INDEXES]) {
        assert_eq!((&block.list, block.first, block.count), (&name, first, STATUS_BLOCK_INDEXES));
    }
    let mut last = None;
    for _ in 3..=STATUS_LIST_INDEXES / STATUS_BLOCK_INDEXES {
        last = Some(lease::<S>(&one));
    }
    let (mark, number) = name.split_once('-').unwrap();
    assert!([NOW_SECONDS, NOW_SECONDS - 60].contains(&mark.parse().unwrap()), "{mark}");
    assert_eq!(number, "0");
    let next = StatusBlock { list: format!("{mark}-1"), first: 0, count: STATUS_BLOCK_INDEXES };
    assert_eq!(last, Some(next), "a block is in one list");
}

fn lists_revoked_tokens_only<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let name = lease::<S>(&store).list;
    assert_eq!(revoked::<S>(&store, &name), None, "nobody has a token yet");
    for (jti, subject, index) in [("t1", "a", 9), ("t2", "b", 7), ("t3", "a", 3), ("t4", "c", 63)] {
        assert_eq!(record(&store, with_status(jti, subject, &name, index)), Recorded::Written);
    }
    let (mark, _) = name.split_once('-').unwrap();
    let other = format!("{mark}-1");
    assert_eq!(record(&store, with_status("t5", "a", &other, 1)), Recorded::Written);
    assert_eq!(revoked::<S>(&store, &name), Some(vec![]));
    in_force(&store, "a", &issued(of_subject("a")));
    assert_eq!(revoked::<S>(&store, &name), Some(vec![3, 9]));
    in_force(&store, "token/t4", &RevocationTarget::Token("t4".into()));
    assert_eq!(list::<S>(&store, &name, NOW), Some(StatusList { name: name.clone(), revoked: vec![3, 9, 63] }));
    assert_eq!(revoked::<S>(&store, &other), Some(vec![1]));
}

/// Verifiers' clocks differ from the store's.
fn keeps_an_expired_token_for_a_minute<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let name = lease::<S>(&store).list;
    record(&store, with_status("t1", "a", &name, 5));
    in_force(&store, "a", &issued(of_subject("a")));
    let at = |seconds: u64| {
        file.set_clock(later(seconds));
        list::<S>(&store, &name, later(seconds)).map(|list| list.revoked)
    };
    assert_eq!(at(300 + 59), Some(vec![5]));
    assert_eq!(at(300 + 60), None, "retired with its last token");
}

fn names_lists_with_live_tokens<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let names = |now: UnixMilliseconds| done(store.status_lists(now)).unwrap();
    assert_eq!(names(NOW), Vec::<String>::new());
    for (jti, list, index) in [("t1", "1-2", 1), ("t2", "1-0", 1), ("t3", "1-2", 2)] {
        record(&store, with_status(jti, "a", list, index));
    }
    record(&store, token("t4", "a", NOW_SECONDS));
    assert_eq!(names(NOW), ["1-0", "1-2"]);
    assert_eq!(names(later(300 + 60)), Vec::<String>::new());
}

fn unknown_lists_are_none<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let name = lease::<S>(&store).list;
    record(&store, with_status("t1", "a", &name, 5));
    // A list from before the database was restored: its tokens may have been revoked since.
    record(&store, with_status("t2", "a", "1-0", 5));
    for name in ["1-0", "1-1", "x", "-", "1-", "-1", "1-0-0", &format!("{name} "), &format!("0{name}")] {
        assert_eq!(list::<S>(&store, name, NOW), None, "{name}");
    }
    for (bytes, expected) in
        [(41, Ok(None)), (42, Err(Error::Invalid(Limit::Name))), (0, Err(Error::Invalid(Limit::Name)))]
    {
        assert_eq!(done(store.status_list(&"1".repeat(bytes), NOW)), expected, "{bytes}");
    }
}

fn records_key_and_status<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let bound = AuditRecord { key_thumbprint: Some("K".into()), ..with_status("t1", "a", "1-2", 3) };
    record(&store, bound);
    record(&store, token("t2", "a", NOW_SECONDS));
    let database = file.connect();
    let sql = "SELECT jkt, status_list, status_index FROM audit ORDER BY decision_id";
    let rows = done(database.run(Statement::new(sql, []))).unwrap();
    let bound = vec![Value::Text("K".into()), Value::Text("1-2".into()), Value::Integer(3)];
    assert_eq!(rows, [bound, vec![Value::Null, Value::Null, Value::Null]]);
}

/// A restored copy forgot which indexes were taken; with its new mark, it takes those of other lists.
#[test]
fn renewed_store_has_other_lists() {
    let file = File::new();
    let store = file.open();
    let before = lease::<File>(&store);
    record(&store, with_status("t1", "a", &before.list, 0));
    let database = file.connect();
    database.query("DELETE FROM meta WHERE name IN ('created_at', 'alive_at')", vec![]).unwrap();
    assert_eq!(done(store.lease_status()), Err(Error::Unavailable(Cause::NotInUse)));
    assert_eq!(done(store.status_list(&before.list, NOW)), Err(Error::Unavailable(Cause::NotInUse)));
    let store = file.open_at(later(30));
    let after = lease::<File>(&store);
    assert_ne!(after.list, before.list);
    assert_eq!(done(store.status_list(&before.list, later(30))), Ok(None));
}
