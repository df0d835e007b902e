//! Uses of a token and of a proof in one statement.

use super::*;
use std::sync::Barrier;

on_both! {
    answers_each_use_in_its_order
    one_of_many_racing_uses_of_a_proof_wins
    takes_at_most_three_uses_of_different_keys
}

fn token_use(key: &str, uses_max: u32) -> TokenUse {
    TokenUse { key: key.to_owned(), uses_max, issued_at: NOW_SECONDS, keep_until: KEEP_UNTIL }
}

fn consume_uses<D: Database>(store: &Store<D>, keys: &[&str]) -> Result<Vec<Consumption>, Error> {
    let uses = keys.iter().map(|key| token_use(key, 1)).collect();
    done(store.consume_uses(uses, NOW, &mut unlimited()))
}

fn answers_each_use_in_its_order<S: Scene>() {
    use Consumption::{Fresh, PredatesStore, Spent};
    let file = S::new();
    let store = file.open();
    assert_eq!(consume_uses(&store, &["proof", "token"]), Ok(vec![Fresh, Fresh]));
    assert_eq!(consume_uses(&store, &["other proof", "token"]), Ok(vec![Fresh, Spent]));
    assert_eq!(consume_uses(&store, &["proof", "other token"]), Ok(vec![Spent, Fresh]));
    assert_eq!(consume_uses(&store, &["other token", "proof"]), Ok(vec![Spent, Spent]));
    let old = TokenUse { issued_at: NOW_SECONDS - 1, ..token_use("old", 1) };
    let uses = vec![old, token_use("proof", 1)];
    assert_eq!(done(store.consume_uses(uses, NOW, &mut unlimited())), Ok(vec![PredatesStore, Spent]));
}

fn takes_at_most_three_uses_of_different_keys<S: Scene>() {
    let file = S::new();
    let store = file.open();
    let too_many = Err(Error::Invalid(Limit::UsesPerCall));
    assert_eq!(consume_uses(&store, &[]), too_many);
    assert_eq!(consume_uses(&store, &["a"]).map(|consumed| consumed.len()), Ok(1));
    assert_eq!(consume_uses(&store, &["b", "c", "h"]).map(|consumed| consumed.len()), Ok(USES_PER_CALL_MAX));
    assert_eq!(consume_uses(&store, &["d", "e", "f", "i"]), too_many);
    assert_eq!(consume_uses(&store, &["d", "e", "d"]), Err(Error::Invalid(Limit::UsesEqual)));
    // Nothing is used if any use breaks a limit.
    assert_eq!(consume_uses(&store, &["g", ""]), Err(Error::Invalid(Limit::Key)));
    assert_eq!(consume_uses(&store, &["g"]), Ok(vec![Consumption::Fresh]));
}

/// A proof that is presented at the same time with different tokens counts for one of them.
fn one_of_many_racing_uses_of_a_proof_wins<S: Scene>() {
    const THREADS: usize = 16;
    let file = S::new();
    drop(file.open());
    let start = Barrier::new(THREADS);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let race = |thread: usize| {
            let store = file.open();
            let token = format!("token {thread}");
            start.wait();
            consume_uses(&store, &["proof", &token]).unwrap()
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || race(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let fresh = |at: usize| answers.iter().filter(|answer| answer[at] == Consumption::Fresh).count();
    assert_eq!((fresh(0), fresh(1)), (1, THREADS));
}
