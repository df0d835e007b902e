//! How much a denied workload can make the broker write, and when its requests are no longer decided.

use rusqlite::Connection;
use std::sync::Mutex;
use vouchsafe_harness::broker::Broker;
use vouchsafe_harness::bundle::DEPLOY;
use vouchsafe_harness::exchange::{Form, Want, bad, check, refused};
use vouchsafe_harness::http::{self, Response};
use vouchsafe_harness::jwt;
use vouchsafe_harness::scene::Scene;

/// `REFUSALS_PER_MINUTE_MAX` of the store.
const LIMIT: usize = 60;
const DENIED: Want = refused(400, "invalid_target", "policy.denied");
const TOO_OFTEN: Want = refused(429, "slow_down", "subject.denied_too_often");

pub fn wants() -> Vec<Want> {
    vec![TOO_OFTEN]
}

/// A token of a workload that is denied because of its repository.
fn denied(scene: &Scene) -> String {
    let mut claims = scene.claims_at(10);
    claims["repository_id"] = "999".into();
    jwt::mint("ES256", &claims)
}

/// A token of a permitted workload with the same subject, or with `subject`.
fn permitted(scene: &Scene, subject: Option<&str>) -> String {
    let mut claims = scene.claims_at(10);
    if let Some(subject) = subject {
        claims["sub"] = subject.into();
    }
    jwt::mint("ES256", &claims)
}

fn number(scene: &Scene, sql: &str) -> usize {
    let database = Connection::open(scene.setup.database()).expect("opens");
    let number: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"));
    usize::try_from(number).expect("not negative")
}

fn present(broker: &Broker, token: &str, want: Want) -> Response {
    check(broker, &Form::of(token).request(), token, want).expect("the expected response")
}

fn decision_id(answer: &Response) -> Option<String> {
    answer.json()["decision_id"].as_str().map(str::to_owned)
}

#[test]
fn writes_at_most_three_records_per_denied_token() {
    let scene = Scene::new();
    let broker = scene.start_at(0);
    let token = denied(&scene);
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.extend(decision_id(&present(&broker, &token, DENIED)));
    }
    assert_eq!(number(&scene, "SELECT count(*) FROM audit"), 3);
    assert_eq!(number(&scene, "SELECT sum(1 + repeats) FROM audit"), 10);
    assert_eq!(ids.len(), 10);
    for id in &ids {
        let sql = format!("SELECT count(*) FROM audit WHERE decision_id = '{id}'");
        assert_eq!(number(&scene, &sql), 1, "records of {id}");
    }
    assert!(ids[3..].iter().all(|id| *id == ids[2]), "{ids:?}");
    broker.assert_healthy();
}

/// A denial doesn't use up a single-use token, and a used token can be presented forever.
#[test]
fn writes_at_most_four_records_per_spent_token() {
    let scene = Scene::new();
    let broker = scene.start_at(0);
    let token = permitted(&scene, None);
    let request = Form::of(&token).set("audience", DEPLOY).request();
    check(&broker, &request, &token, Want::Issued).expect("the first use");
    for _ in 0..10 {
        check(&broker, &request, &token, bad("replay.spent")).expect("refused");
    }
    assert_eq!(number(&scene, "SELECT count(*) FROM audit"), 4);
    assert_eq!(number(&scene, "SELECT sum(1 + repeats) FROM audit"), 11);
}

#[test]
fn limits_denials_of_a_subject_per_minute() {
    let scene = Scene::new();
    let broker = scene.start_at(0);
    for number in 0..LIMIT {
        let token = denied(&scene);
        let answer = check(&broker, &Form::of(&token).request(), &token, DENIED);
        answer.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    let first = present(&broker, &denied(&scene), TOO_OFTEN);
    assert!(decision_id(&first).is_some(), "no decision");
    let records = number(&scene, "SELECT count(*) FROM audit");
    assert_eq!(records, LIMIT + 1);
    // The first use of another token is still decided and counted; after that it gets no decision.
    let again = denied(&scene);
    let counted = present(&broker, &again, TOO_OFTEN);
    assert_eq!(decision_id(&counted), decision_id(&first));
    let answer = present(&broker, &again, TOO_OFTEN);
    assert_eq!(decision_id(&answer), None, "decided again");
    let seconds = answer.header("retry-after").expect("a time");
    let seconds: u64 = seconds.parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(number(&scene, "SELECT count(*) FROM audit"), records);
    // Neither another workload with the same `sub` nor a permitted request is affected.
    present(&broker, &permitted(&scene, None), Want::Issued);
    let other = permitted(&scene, Some("repo:octo-org/other"));
    present(&broker, &other, Want::Issued);
    broker.assert_healthy();
    drop(broker);
    let next = scene.start_at(60);
    present(&next, &permitted(&scene, None), Want::Issued);
    present(&next, &denied(&scene), DENIED);
}

/// Concurrent clients, in instances that share nothing but the store.
#[test]
fn counts_every_concurrent_denial() {
    const CLIENTS: usize = 8;
    const EACH: usize = 20;
    let scene = Scene::new();
    let broker = scene.start_at(0);
    // Status of each answer, and whether a decision was made.
    let answers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let token = denied(&scene);
                    let answer = http::send(&broker.address, &Form::of(&token).request());
                    let answer = answer.expect("a response");
                    let decided = decision_id(&answer).is_some();
                    answers.lock().expect("unpoisoned").push((answer.status, decided));
                }
            });
        }
    });
    let answers = answers.into_inner().expect("unpoisoned");
    let count = |status, decided| {
        let alike = answers.iter().filter(|it| **it == (status, decided));
        alike.count()
    };
    let (denied, over, spared) = (count(400, true), count(429, true), count(429, false));
    // The store timed out; the record may have been written all the same.
    let busy = count(503, true);
    assert_eq!(denied + over + spared + busy, CLIENTS * EACH, "{answers:?}");
    assert!(denied <= LIMIT && denied + busy >= LIMIT, "{denied} of {busy}");
    let on_record = number(&scene, "SELECT sum(1 + repeats) FROM audit");
    let decided = denied + over;
    assert!((decided..=decided + busy).contains(&on_record), "{on_record} of {decided}");
    assert!(number(&scene, "SELECT count(*) FROM audit") <= LIMIT + 1);
    broker.assert_healthy();
}
