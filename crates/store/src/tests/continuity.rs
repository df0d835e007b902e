//! A store that was out of use for too long may be an older copy.

use super::*;

fn alive(file: &File, seconds: u64) -> Continuity {
    done(keep_alive(&file.connect(), later(seconds))).unwrap()
}

fn broken(seconds: u64) -> Continuity {
    Continuity::Broken { last_in_use: NOW_SECONDS + seconds }
}

#[test]
fn short_restart_keeps_earlier_tokens_valid() {
    let file = File::new();
    drop(file.open());
    assert_eq!(alive(&file, 100), Continuity::Unbroken, "never heard of it");
    assert_eq!(alive(&file, 115), Continuity::Unbroken);
    assert_eq!(consume(&file.open_at(later(115)), "a", NOW_SECONDS), Ok(Consumption::Fresh));
}

#[test]
fn long_outage_refuses_earlier_tokens() {
    let file = File::new();
    drop(file.open());
    alive(&file, 100);
    assert_eq!(alive(&file, 116), broken(100));
    assert_eq!(alive(&file, 121), Continuity::Unbroken, "said once");
    let store = file.open_at(later(121));
    let at = |key, seconds| consume(&store, key, NOW_SECONDS + seconds);
    assert_eq!(at("a", 115), Ok(Consumption::PredatesStore));
    assert_eq!(at("a", 116), Ok(Consumption::Fresh));
}

/// A use that is still recorded stays distinct from one that may have been.
#[test]
fn used_token_stays_spent_without_the_mark() {
    let file = File::new();
    let store = file.open();
    assert_eq!(consume(&store, "a", NOW_SECONDS), Ok(Consumption::Fresh));
    alive(&file, 0);
    assert_eq!(alive(&file, 1000), broken(0));
    assert_eq!(consume(&store, "a", NOW_SECONDS), Ok(Consumption::Spent));
}

#[test]
fn detects_restored_copy() {
    let file = File::new();
    let store = file.open();
    alive(&file, 0);
    let copy = file.0.join("copy");
    let into = vec![copy.to_str().unwrap().into()];
    store.database().query("VACUUM INTO ?1", into).unwrap();
    for seconds in (5..=60).step_by(5) {
        assert_eq!(alive(&file, seconds), Continuity::Unbroken);
    }
    assert_eq!(consume(&store, "a", NOW_SECONDS), Ok(Consumption::Fresh));
    drop(store);
    std::fs::rename(&copy, file.0.join("state.db")).unwrap();
    assert_eq!(alive(&file, 65), broken(0), "what the copy knew");
    let store = file.open_at(later(65));
    let forgotten = consume(&store, "a", NOW_SECONDS);
    assert_eq!(forgotten, Ok(Consumption::PredatesStore));
}

/// A copy that was restored between two `keep_alive` calls is not detected yet.
#[test]
fn restored_copy_refuses_earlier_tokens() {
    let file = File::new();
    let store = file.open();
    alive(&file, 0);
    let at = |store: &Store<Rusqlite>, key: &str, seconds: u64| {
        let (now, issued_at) = (later(seconds), NOW_SECONDS + seconds);
        done(store.consume(key, 1, issued_at, KEEP_UNTIL, now, &mut unlimited())).unwrap()
    };
    assert_eq!(at(&store, "a", 15), Consumption::Fresh);
    assert_eq!(at(&store, "b", 16), Consumption::PredatesStore, "too old a mark");
    assert_eq!(alive(&file, 16), broken(0));
    assert_eq!(at(&store, "b", 16), Consumption::Fresh);
}

#[test]
fn backward_clock_moves_no_mark() {
    let file = File::new();
    drop(file.open());
    alive(&file, 100);
    assert_eq!(alive(&file, 50), Continuity::Unbroken);
    assert_eq!(alive(&file, 115), Continuity::Unbroken, "the later mark stays");
}

#[test]
fn reports_that_it_cannot_be_written() {
    let file = File::new();
    let unset = done(keep_alive(&file.connect(), NOW)).unwrap_err();
    let Error::Unavailable(Cause::Io(text)) = unset else {
        panic!("{unset:?}");
    };
    assert!(text.starts_with("no such table: meta"), "{text}");
}
