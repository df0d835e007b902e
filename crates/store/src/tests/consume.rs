//! Single use (I4).

use std::sync::Barrier;

use super::*;

on_both! {
    a_key_is_fresh_once
    bound_limits_how_often_a_key_is_fresh
    bound_limits_winners_among_racing_connections
    bounds_its_arguments
    changed_bound_adds_no_uses
    one_of_many_racing_connections_wins
    rejects_token_older_than_the_store
    spent_key_survives_restart_and_other_instances
    spent_wins_over_predating
    the_creation_mark_survives_restarts
}

fn a_key_is_fresh_once<S: Scene>() {
    let file = S::new();
    let store = file.open();
    assert_eq!(consume(&store, "a", NOW_SECONDS), Ok(Consumption::Fresh));
    assert_eq!(consume(&store, "a", NOW_SECONDS), Ok(Consumption::Spent));
    assert_eq!(consume(&store, "b", NOW_SECONDS), Ok(Consumption::Fresh));
    assert_eq!(consume(&store, "A", NOW_SECONDS), Ok(Consumption::Fresh));
}

fn spent_key_survives_restart_and_other_instances<S: Scene>() {
    let file = S::new();
    let first = file.open();
    let second = file.open();
    assert_eq!(consume(&first, "a", NOW_SECONDS), Ok(Consumption::Fresh));
    assert_eq!(consume(&second, "a", NOW_SECONDS), Ok(Consumption::Spent));
    drop((first, second));
    assert_eq!(consume(&file.open_at(later(7200)), "a", NOW_SECONDS), Ok(Consumption::Spent));
}

fn rejects_token_older_than_the_store<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for (issued_at, expected) in [
        (0, Consumption::PredatesStore),
        (NOW_SECONDS - 1, Consumption::PredatesStore),
        (NOW_SECONDS, Consumption::Fresh),
        (NOW_SECONDS + 1, Consumption::Fresh),
    ] {
        assert_eq!(consume(&store, &format!("k{issued_at}"), issued_at), Ok(expected), "{issued_at}");
    }
    assert_eq!(store.database().count("consumed"), 2);
}

fn spent_wins_over_predating<S: Scene>() {
    let file = S::new();
    let store = file.open();
    assert_eq!(consume(&store, "a", NOW_SECONDS), Ok(Consumption::Fresh));
    assert_eq!(consume(&store, "a", NOW_SECONDS - 1), Ok(Consumption::Spent));
}

fn the_creation_mark_survives_restarts<S: Scene>() {
    let file = S::new();
    drop(file.open());
    let store = file.open_at(later(3600));
    assert_eq!(consume(&store, "a", NOW_SECONDS), Ok(Consumption::Fresh));
}

/// What an operator does after restoring an older copy.
#[test]
fn next_start_recreates_a_deleted_mark() {
    let file = File::new();
    let old = file.open();
    old.database().query("DELETE FROM meta WHERE name = 'created_at'", vec![]).unwrap();
    assert_eq!(done(old.ready()), Err(Error::Unavailable(Cause::CreationMarkMissing)));
    assert_eq!(consume(&old, "a", NOW_SECONDS), Ok(Consumption::PredatesStore), "fails closed");
    let store = file.open_at(later(3600));
    assert_eq!(consume(&store, "a", NOW_SECONDS + 3599), Ok(Consumption::PredatesStore));
    assert_eq!(consume(&store, "a", NOW_SECONDS + 3600), Ok(Consumption::Fresh));
}

fn bounds_its_arguments<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let key = |bytes: usize| consume(&store, &"k".repeat(bytes), NOW_SECONDS);
    assert_eq!(key(0), Err(Error::Invalid(Limit::Key)));
    assert_eq!(key(1), Ok(Consumption::Fresh));
    assert_eq!(key(KEY_BYTES_MAX), Ok(Consumption::Fresh));
    assert_eq!(key(KEY_BYTES_MAX + 1), Err(Error::Invalid(Limit::Key)));
    let keep = |key: &str, keep_until: u64| done(store.consume(key, 1, NOW_SECONDS, keep_until, NOW, &mut unlimited()));
    assert_eq!(keep("a", NOW_SECONDS - 301), Err(Error::Invalid(Limit::KeepUntilPassed)));
    assert_eq!(keep("a", NOW_SECONDS - 300), Ok(Consumption::Fresh));
    assert_eq!(keep("b", i64::MAX as u64), Ok(Consumption::Fresh));
    assert_eq!(keep("c", i64::MAX as u64 + 1), Err(Error::Invalid(Limit::NumberTooLarge)));
    let issued = |key: &str, issued_at: u64| done(store.consume(key, 1, issued_at, KEEP_UNTIL, NOW, &mut unlimited()));
    assert_eq!(issued("d", u64::MAX), Err(Error::Invalid(Limit::NumberTooLarge)));
    assert_eq!(Error::Invalid(Limit::Key).slug(), "store.invalid");
    assert_eq!(store.database().count("consumed"), 4);
}

fn use_once(store: &Store<impl Database<Alarm = Bell>>, key: &str, uses_max: u32) -> Result<Consumption, Error> {
    done(store.consume(key, uses_max, NOW_SECONDS, KEEP_UNTIL, NOW, &mut unlimited()))
}

fn bound_limits_how_often_a_key_is_fresh<S: Scene>() {
    let file = S::new();
    let store = file.open();
    for _ in 0..3 {
        assert_eq!(use_once(&store, "a", 3), Ok(Consumption::Fresh));
    }
    assert_eq!(use_once(&store, "a", 3), Ok(Consumption::Spent));
    assert_eq!(use_once(&file.open(), "a", 3), Ok(Consumption::Spent));
    assert_eq!(use_once(&store, "b", 0), Err(Error::Invalid(Limit::Uses)));
    assert_eq!(use_once(&store, "c", u32::MAX), Ok(Consumption::Fresh));
}

/// A bundle may change while tokens live: the smallest bound that a token was used under holds.
fn changed_bound_adds_no_uses<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let steps = |key: &str, steps: &[(u32, Consumption)]| {
        for (index, (uses_max, expected)) in steps.iter().enumerate() {
            let found = use_once(&store, key, *uses_max);
            assert_eq!(found, Ok(*expected), "{key}, step {index}");
        }
    };
    use Consumption::{Fresh, Spent};
    steps("used up stays used up", &[(1, Fresh), (5, Spent), (1, Spent)]);
    steps("once used is used for single use", &[(5, Fresh), (1, Spent), (5, Fresh)]);
    steps("the smaller bound wins", &[(9, Fresh), (3, Fresh), (9, Fresh), (9, Spent), (3, Spent)]);
}

fn bound_limits_winners_among_racing_connections<S: Scene>() {
    const THREADS: usize = 16;
    const USES: u32 = 5;
    let file = S::new();
    drop(file.open());
    let start = Barrier::new(THREADS);
    let won = std::thread::scope(|scope| {
        let race = || {
            let store = file.open();
            start.wait();
            use_once(&store, "a", USES).unwrap() == Consumption::Fresh
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(race)).collect();
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        won.filter(|won| *won).count()
    });
    assert_eq!(won, USES as usize);
}

fn one_of_many_racing_connections_wins<S: Scene>() {
    const THREADS: usize = 16;
    const ROUNDS: usize = 12;
    let file = S::new();
    drop(file.open());
    let start = Barrier::new(THREADS);
    let fresh = std::thread::scope(|scope| {
        let race = || {
            let store = file.open();
            let mut won = Vec::new();
            for round in 0..ROUNDS {
                start.wait();
                match consume(&store, &format!("round {round}"), NOW_SECONDS).unwrap() {
                    Consumption::Fresh => won.push(round),
                    Consumption::Spent => {}
                    Consumption::PredatesStore => panic!("the store is older"),
                }
            }
            won
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(race)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut rounds = fresh;
    rounds.sort_unstable();
    assert_eq!(rounds, (0..ROUNDS).collect::<Vec<_>>());
}
