//! Many clients, one proof, two brokers on one database.

use std::sync::Barrier;
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::http::Request;
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::proof::Proof;
use vouchsafe_harness::{jwt, now};

const CLIENTS: usize = 32;
/// Races without a 503.
const RACES: usize = 3;
const TRIES_MAX: usize = 30;

/// Each client has a token of its own subject, so nothing but the proof is shared.
fn requests(issuer: &Issuer) -> Vec<Request> {
    let proof = Proof::by(Key::stranger("ES256")).claim("iat", (now() + 1).into()).sign();
    let request = |client: usize| {
        let mut claims = issuer.claims(now());
        claims["sub"] = format!("repo:octo-org/octo-repo:{client}").into();
        Form::of(&jwt::mint("ES256", &claims)).request().with("dpop", &proof)
    };
    (0..CLIENTS).map(request).collect()
}

#[test]
fn lets_one_of_32_clients_use_a_proof() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let brokers = [setup.start(), setup.start()];
    let mut clean = 0;
    for _ in 0..TRIES_MAX {
        let (start, requests) = (Barrier::new(CLIENTS), requests(&issuer));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = requests
                .iter()
                .enumerate()
                .map(|(index, request)| {
                    let (broker, start) = (&brokers[index % brokers.len()], &start);
                    scope.spawn(move || {
                        start.wait();
                        broker.send(request)
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().expect("a response")).collect()
        });
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        let spent = answers.iter().filter(|answer| answer.text().contains("the DPoP proof was already used")).count();
        assert!(count(200) <= 1, "{} tokens", count(200));
        // A slow store answers 503, possibly to the winner.
        if count(503) == 0 {
            assert_eq!((count(200), spent), (1, CLIENTS - 1));
            clean += 1;
        }
        if clean == RACES {
            return;
        }
    }
    panic!("{clean} of {TRIES_MAX} races had no 503");
}
