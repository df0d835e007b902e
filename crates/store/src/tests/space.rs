//! Checks of writability and free space.

use super::*;

fn mark(database: &Rusqlite) -> Vec<String> {
    database.column("SELECT value FROM meta WHERE name = 'written_at'")
}

fn writable_at(store: &Store<Rusqlite>, seconds: u64) -> Result<Space, Error> {
    done(store.writable(UnixMilliseconds(seconds * 1000)))
}

#[test]
fn writes_at_most_once_a_second() {
    let file = File::new();
    let (one, other) = (file.open(), file.open());
    // The count grows with each commit of another connection that changes something.
    let watch = file.connect();
    let commits = || watch.column("PRAGMA data_version");
    for seconds in [NOW_SECONDS, NOW_SECONDS + 1] {
        let before = commits();
        assert_eq!(writable_at(&one, seconds), Ok(Space::Unknown));
        let after = commits();
        assert_ne!(after, before, "the first writes");
        for store in [&one, &other] {
            assert_eq!(writable_at(store, seconds), Ok(Space::Unknown));
        }
        assert_eq!(commits(), after);
        assert_eq!(mark(&watch), [seconds.to_string()]);
    }
}

#[test]
fn replaces_mark_of_a_clock_ahead() {
    let file = File::new();
    let store = file.open();
    for (ahead, expected) in [(30, NOW_SECONDS + 30), (31, NOW_SECONDS)] {
        writable_at(&store, NOW_SECONDS + ahead).unwrap();
        writable_at(&store, NOW_SECONDS).unwrap();
        assert_eq!(mark(store.database()), [expected.to_string()], "{ahead} s");
    }
}

#[test]
fn reports_unwritable_database() {
    let file = File::new();
    let store = file.open();
    store.database().column("PRAGMA query_only = ON");
    assert_eq!(done(store.ready()), Ok(()), "it can be read");
    let error = writable_at(&store, NOW_SECONDS).unwrap_err();
    assert_eq!(error, Error::Unavailable(Cause::Io("attempt to write a readonly database".into())));
}

#[test]
fn reports_space_noted_lately() {
    let file = File::new();
    let store = file.open();
    let database = store.database();
    for (free_bytes, expected) in
        [(SPACE_LOW_BYTES, Space::Ok), (SPACE_LOW_BYTES - 1, Space::Low), (0, Space::Low), (u64::MAX, Space::Ok)]
    {
        done(keep_alive(database, NOW)).unwrap();
        done(note_space(database, free_bytes)).unwrap();
        for (later, expected) in [(0, expected), (15, expected), (16, Space::Unknown)] {
            let space = writable_at(&store, NOW_SECONDS + later);
            assert_eq!(space, Ok(expected), "{free_bytes} bytes, {later} s later");
        }
    }
}

#[test]
fn notes_room_only_where_it_changes() {
    let file = File::new();
    drop(file.open());
    let (database, watch) = (file.connect(), file.connect());
    let commits = || watch.column("PRAGMA data_version");
    let mut last = commits();
    for (free_bytes, writes) in [(1, true), (2, false), (SPACE_LOW_BYTES, true), (u64::MAX, false)] {
        done(note_space(&database, free_bytes)).unwrap();
        let now = commits();
        assert_eq!(now != last, writes, "{free_bytes}");
        last = now;
    }
}
