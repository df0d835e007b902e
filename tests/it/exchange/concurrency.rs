//! Many different requests at once in shared instances: each gets its own answer.

use std::sync::Barrier;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY};
use vouchsafe_harness::exchange::{Form, Want, bad, check_answer, refused};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::now;

const CLIENTS: usize = 32;
const REQUESTS_PER_CLIENT: usize = 6;

/// How often a client retries after a 503 of a slow store.
const TRIES_MAX: usize = 20;

/// Presents new requests until one is not refused for a slow store. Returns the number of retries, or what was wrong.
fn present(broker: &Broker, iss: &str, client: usize, number: usize) -> Result<usize, String> {
    let mut outcome = Ok(());
    for tries in 1..=TRIES_MAX {
        outcome = present_once(broker, iss, client, number);
        match &outcome {
            Ok(()) => return Ok(tries),
            Err(reason) if reason.contains("the store is unavailable") => {}
            Err(_) => break,
        }
    }
    outcome.map(|()| TRIES_MAX)
}

/// Sends the request of kind `number` and checks its answer.
fn present_once(broker: &Broker, iss: &str, client: usize, number: usize) -> Result<(), String> {
    let sub = format!("repo:octo-org/octo-repo:client:{client}:{number}");
    let mut claims = jwt::claims(iss, BROKER, now());
    claims["sub"] = sub.as_str().into();
    claims["ref"] = format!("refs/heads/{client}-{number}").into();
    let send = |claims: &serde_json::Value, change: &dyn Fn(Form) -> Form, want| {
        let response = broker.send(&change(Form::of(&jwt::mint("ES256", claims))).request());
        check_answer(&response, None, false, want).map(|()| response)
    };
    match (client + number) % 4 {
        0 => send(&claims, &|form| form.set("audience", "https://unknown.example"), refused(400, "invalid_target", ""))
            .map(drop),
        1 => {
            claims["exp"] = 1.into();
            send(&claims, &|form| form, bad("")).map(drop)
        }
        kind => {
            let audience = if kind == 2 { API } else { DEPLOY };
            let response = send(&claims, &|form| form.set("audience", audience), Want::Issued)?;
            let issued = Issued::parse(response.json()["access_token"].as_str().unwrap_or_default());
            let own = issued.claims["sub"] == format!("main:{sub}").as_str()
                && issued.claims["aud"] == audience
                && (kind == 2 || issued.claims["ref"] == claims["ref"]);
            if own { Ok(()) } else { Err(format!("another client's token: {}", issued.claims)) }
        }
    }
}

fn mix(arguments: &[&str]) {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    let setup = arguments.iter().fold(setup, |setup, argument| setup.argument(*argument));
    let (broker, iss, start) = (setup.start(), issuer.url("main"), Barrier::new(CLIENTS));
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let run = |client| {
            let (broker, iss, start) = (&broker, &iss, &start);
            scope.spawn(move || {
                start.wait();
                let numbers = 0..REQUESTS_PER_CLIENT;
                numbers.map(|number| present(broker, iss, client, number)).collect::<Vec<_>>()
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(run).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    });
    let failures: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(failures.is_empty(), "{} failures: {failures:#?}", failures.len());
    // Key sets that the store was too slow to keep are fetched again.
    let patient = outcomes.iter().any(|outcome| *outcome != Ok(1));
    let fetched = issuer.fetches("main");
    assert!(fetched == 2 || patient, "the key set was fetched {} times", fetched / 2);
    broker.assert_healthy();
}

#[test]
fn answers_concurrent_requests_in_one_instance() {
    mix(&["--max-instance-concurrent-reuse-count", "64"]);
}

#[test]
fn answers_concurrent_requests_in_short_lived_instances() {
    mix(&["--max-instance-reuse-count", "3", "--max-instance-concurrent-reuse-count", "1"]);
}
