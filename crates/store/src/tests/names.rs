//! Leases, documents and pointers.

use super::*;

on_both! {
    a_lease_is_held_until_it_expires
    bounds_names_and_bodies
    one_racing_connection_wins_each_revision
    pointer_changes_only_from_expected_revision
    returns_the_document_put_last
}

fn put(store: &Store<impl Database<Alarm = Bell>>, name: &str, body: &str) -> Result<(), Error> {
    done(store.document_put(name, Document { body: body.into(), keep_until: KEEP_UNTIL }, NOW))
}

fn swap(store: &Store<impl Database<Alarm = Bell>>, expected: Option<u64>, value: &str) -> Result<bool, Error> {
    done(store.pointer_compare_and_swap("p", expected, value.into()))
}

fn a_lease_is_held_until_it_expires<S: Scene>() {
    let file = S::new();
    let (one, other) = (file.open(), file.open());
    let take = |store: &Store<S::Db>, name: &str, at: u64| {
        let now = UnixMilliseconds(NOW.0 + at);
        file.set_clock(now);
        done(store.lease(name, 5_000, now))
    };
    assert_eq!(take(&one, "l", 0), Ok(true));
    assert_eq!(take(&other, "l", 0), Ok(false));
    assert_eq!(take(&other, "m", 0), Ok(true));
    assert_eq!(take(&one, "l", 4_999), Ok(false));
    assert_eq!(take(&other, "l", 5_000), Ok(true));
    assert_eq!(take(&one, "l", 9_999), Ok(false));
}

#[test]
fn ignores_lease_of_a_clock_ahead() {
    let file = File::new();
    let store = file.open();
    for (ahead_ms, free) in [(30_000, false), (30_001, true), (86_400_000, true)] {
        let name = format!("ahead-{ahead_ms}");
        let take = |ahead_ms| {
            let now = UnixMilliseconds(NOW.0 + ahead_ms);
            done(store.lease(&name, 5_000, now))
        };
        assert_eq!(take(ahead_ms), Ok(true));
        assert_eq!(take(0), Ok(free), "{ahead_ms} ms ahead");
        assert_eq!(take(1), Ok(false), "held until now + 5 s, or then too");
    }
}

#[test]
fn bounds_the_lease() {
    let file = File::new();
    let store = file.open();
    let take = |name: &str, ttl_ms: u64| done(store.lease(name, ttl_ms, NOW));
    assert_eq!(take("a", 0), Err(Error::Invalid(Limit::LeaseTime)));
    assert_eq!(take("a", 1), Ok(true));
    assert_eq!(take("b", LEASE_MS_MAX), Ok(true));
    assert_eq!(take("c", LEASE_MS_MAX + 1), Err(Error::Invalid(Limit::LeaseTime)));
    let last = done(store.lease("c", 1, UnixMilliseconds(u64::MAX)));
    assert_eq!(last, Err(Error::Invalid(Limit::NumberTooLarge)));
}

fn returns_the_document_put_last<S: Scene>() {
    let file = S::new();
    let store = file.open();
    assert_eq!(done(store.document_get("d")), Ok(None));
    put(&store, "d", "one").unwrap();
    put(&store, "d", "two 'quoted' é").unwrap();
    let expected = Document { body: "two 'quoted' é".into(), keep_until: KEEP_UNTIL };
    assert_eq!(done(file.open().document_get("d")), Ok(Some(expected)));
    assert_eq!(store.database().count("documents"), 1);
}

fn bounds_names_and_bodies<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let name = |bytes: usize| "n".repeat(bytes);
    for (bytes, expected) in [
        (0, Err(Error::Invalid(Limit::Name))),
        (1, Ok(())),
        (NAME_BYTES_MAX, Ok(())),
        (NAME_BYTES_MAX + 1, Err(Error::Invalid(Limit::Name))),
    ] {
        let name = name(bytes);
        assert_eq!(put(&store, &name, ""), expected);
        assert_eq!(done(store.document_get(&name)).map(drop), expected);
        assert_eq!(done(store.pointer_get(&name)).map(drop), expected);
        assert_eq!(done(store.pointer_compare_and_swap(&name, None, String::new())).map(drop), expected);
        assert_eq!(done(store.lease(&name, 1, NOW)).map(drop), expected);
    }
    assert_eq!(put(&store, "d", &"x".repeat(BODY_BYTES_MAX)), Ok(()));
    assert_eq!(put(&store, "d", &"x".repeat(BODY_BYTES_MAX + 1)), Err(Error::Invalid(Limit::DocumentBody)));
    assert_eq!(swap(&store, None, &"x".repeat(POINTER_BYTES_MAX)), Ok(true));
    assert_eq!(swap(&store, Some(1), &"x".repeat(POINTER_BYTES_MAX + 1)), Err(Error::Invalid(Limit::PointerValue)));
}

fn pointer_changes_only_from_expected_revision<S: Scene>() {
    let file = S::new();
    let store = file.open();
    assert_eq!(done(store.pointer_get("p")), Ok(None));
    assert_eq!(swap(&store, Some(0), "never"), Ok(false));
    assert_eq!(swap(&store, None, "one"), Ok(true));
    assert_eq!(swap(&store, None, "again"), Ok(false));
    assert_eq!(swap(&store, Some(2), "ahead"), Ok(false));
    assert_eq!(swap(&store, Some(1), "two"), Ok(true));
    assert_eq!(swap(&store, Some(1), "behind"), Ok(false));
    assert_eq!(done(store.pointer_get("p")), Ok(Some(Pointer { value: "two".into(), revision: 2 })));
}

fn one_racing_connection_wins_each_revision<S: Scene>() {
    let file = S::new();
    assert_eq!(swap(&file.open(), None, "start"), Ok(true));
    let wins: u64 = std::thread::scope(|scope| {
        let race = || {
            let store = file.open();
            (0..20)
                .filter(|_| {
                    let seen = done(store.pointer_get("p")).unwrap().unwrap().revision;
                    swap(&store, Some(seen), "moved").unwrap()
                })
                .count() as u64
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let end = done(file.open().pointer_get("p")).unwrap().unwrap();
    assert_eq!(end.revision, 1 + wins);
}
