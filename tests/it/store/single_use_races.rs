//! Many clients, one token, two brokers on one database.
//!
//! `VOUCHSAFE_RACES` is the number of races; `scripts/soak` runs more than a test run does.

use std::sync::Barrier;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{BOUNDED, DEPLOY, USES};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::{jwt, now};

const CLIENTS: usize = 64;
/// Races without a 503.
const RACES_DEFAULT: usize = 3;
/// Attempts at most for each of them.
const TRIES_PER_RACE_MAX: usize = 10;

/// Outcomes of the clients in one race.
#[derive(Debug, Default)]
struct Tally {
    won: usize,
    spent: usize,
    told_to_retry: usize,
}

/// A new token, whose subject has not been denied yet.
fn token(issuer: &Issuer) -> String {
    let mut claims = issuer.claims(now());
    let jti = claims["jti"].as_str().expect("a jti");
    claims["sub"] = format!("repo:octo-org/octo-repo:{jti}").into();
    jwt::mint("ES256", &claims)
}

/// Two brokers on one database: one with the host's own store, one with the store's component.
fn brokers(issuer: &Issuer) -> (Setup, [Broker; 2]) {
    let setup = Setup::trusting(issuer);
    let with_host_store = setup.start();
    let setup = setup.argument("--wasm-store");
    let with_component = setup.start();
    (setup, [with_host_store, with_component])
}

/// Lets all clients present `form` at once, alternately to either broker.
fn race(brokers: &[Broker; 2], form: &Form) -> Tally {
    let (start, request) = (Barrier::new(CLIENTS), form.request());
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|index| {
                let (broker, start, request) = (&brokers[index % brokers.len()], &start, &request);
                scope.spawn(move || {
                    start.wait();
                    broker.send(request)
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a response")).collect()
    });
    let mut tally = Tally::default();
    for answer in answers {
        match answer.status {
            200 => tally.won += 1,
            400 if answer.text().contains("already used") => tally.spent += 1,
            // Spent as well: the subject is over the limit of denials by then.
            429 => tally.spent += 1,
            503 => tally.told_to_retry += 1,
            _ => panic!("{} {}", answer.status, answer.text()),
        }
    }
    tally
}

#[test]
fn lets_one_of_64_clients_win_token() {
    let issuer = Issuer::honest();
    let (_setup, brokers) = brokers(&issuer);
    let races = std::env::var("VOUCHSAFE_RACES").map_or(RACES_DEFAULT, |text| text.parse().expect("a number"));
    let (mut run, mut clean) = (0, 0);
    while clean < races && run < races * TRIES_PER_RACE_MAX {
        run += 1;
        let token = token(&issuer);
        let form = Form::of(&token).set("audience", DEPLOY);
        let tally = race(&brokers, &form);
        assert!(tally.won <= 1, "{tally:?}");
        // A slow store answers 503, possibly to the winner: the token was consumed but not released, because its
        // record was not confirmed.
        if tally.told_to_retry == 0 {
            assert_eq!((tally.won, tally.spent), (1, CLIENTS - 1));
            clean += 1;
        }
        let late = brokers[0].send(&form.request());
        assert!(late.status != 200 || tally.won == 0, "{}", late.text());
    }
    assert!(clean > 0, "every one of {run} races had a 503");
    println!("{run} races of {CLIENTS} clients, {clean} without a 503");
    brokers.iter().for_each(Broker::assert_healthy);
}

#[test]
fn lets_bounded_number_of_clients_win_token() {
    let issuer = Issuer::honest();
    let (_setup, brokers) = brokers(&issuer);
    let clean = (0..TRIES_PER_RACE_MAX).any(|_| {
        let token = token(&issuer);
        let form = Form::of(&token).set("audience", BOUNDED);
        let tally = race(&brokers, &form);
        assert!(tally.won <= USES, "{tally:?}");
        let late = brokers[0].send(&form.request());
        assert!(late.status != 200 || tally.told_to_retry > 0, "{}", late.text());
        tally.told_to_retry == 0 && tally.won == USES && tally.spent == CLIENTS - USES
    });
    assert!(clean, "every race had a 503");
    brokers.iter().for_each(Broker::assert_healthy);
}
