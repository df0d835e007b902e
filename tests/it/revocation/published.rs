//! The signed list of what is revoked, and a verifier that follows it.

use crate::revocation::scene::*;
use serde_json::{Value, json};
use vouchsafe_harness::administration::*;
use vouchsafe_harness::broker::Broker;
use vouchsafe_harness::bundle::{API, BROKER};
use vouchsafe_harness::exchange::Form;
use vouchsafe_harness::hsm::eventually;
use vouchsafe_harness::http::Request;
use vouchsafe_harness::jwt::Issued;
use vouchsafe_harness::now;
use vouchsafe_verifier::{Check, Keys, Revocations, Rules, verify};

fn document(broker: &Broker) -> Issued {
    let response = broker.get("/revocations");
    assert_eq!(response.status, 200, "{}", response.text());
    Issued::parse(&response.text())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}

fn rules() -> Rules<'static> {
    Rules::access_token(BROKER, API)
}

/// What a verifier that follows `broker` says of `token`, by the step that fails.
fn checked(revocations: &mut Revocations, broker: &Broker, token: &str) -> Result<(), Check> {
    let keys = Keys::parse(broker.jwks().to_string().as_bytes()).expect("keys");
    let outcome = revocations.store(&broker.get("/revocations").text(), &keys, &rules(), now());
    outcome.map_err(|error| error.check)?;
    let verified = verify(token, &keys, &rules(), now()).map_err(|error| error.check)?;
    revocations.check(&verified, &rules(), now()).map_err(|error| error.check)
}

#[test]
fn names_nobody_and_lives_for_seconds() {
    let scene = Scene::new();
    let before = document(&scene.broker);
    assert_eq!((before.number("seq"), &before.claims["rules"]), (0, &json!([])));
    let ended = scene.token();
    assert_eq!(scene.broker.send(&form("/revoke", &ended)).status, 200);
    let mut body = of_workload("r-1");
    body["audience"] = API.into();
    scene.revoke(body);
    let list = eventually("both operations", || Some(document(&scene.broker)).filter(|list| list.number("seq") >= 2));
    assert_eq!(list.header["typ"], "vouchsafe-revocations+jwt");
    assert!(list.verifies(&scene.broker.jwks()));
    assert_eq!(list.claims["iss"], BROKER);
    assert_eq!(list.number("exp") - list.number("iat"), 15);
    assert_eq!(list.claims["tokens"], json!([jti(&ended)]));
    let mut names: Vec<_> = list.claims["rules"][0].as_object().expect("a rule").keys().collect();
    names.sort();
    assert_eq!(names, ["audience", "issuer", "subject", "until"]);
    let text = list.claims.to_string();
    for private in ["main", "octo-org", "incident 7", API] {
        assert!(!text.contains(private), "{private}");
    }
}

#[test]
fn unchanged_document_is_not_sent_again() {
    let scene = Scene::new();
    let response = scene.broker.get("/revocations");
    assert_eq!(response.header("content-type"), Some("application/jwt"));
    assert_eq!(response.header("cache-control"), Some("public, max-age=1"));
    let etag = response.header("etag").expect("an ETag").to_owned();
    // The document is signed again after some seconds, maybe just now.
    let again = scene.broker.send(&Request::get("/revocations").with("if-none-match", &etag));
    match again.status {
        304 => assert_eq!(again.text(), ""),
        200 => assert_ne!(again.header("etag"), Some(etag.as_str())),
        status => panic!("{status}"),
    }
    let other = scene.broker.send(&Request::get("/revocations").with("if-none-match", "\"x\""));
    assert_eq!(other.status, 200);
    let post = scene.broker.send(&Request::post("/revocations", "text/plain", ""));
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn every_broker_of_a_database_lists_the_same() {
    let scene = Scene::new();
    let second = scene.setup.start();
    let token = scene.token();
    let (mut first_list, mut second_list) = (Revocations::default(), Revocations::default());
    assert_eq!(checked(&mut first_list, &scene.broker, &token), Ok(()));
    assert_eq!(checked(&mut second_list, &second, &token), Ok(()));
    scene.revoke(of_workload("r-1"));
    until("both refuse the token", || {
        checked(&mut first_list, &scene.broker, &token) == Err(Check::Revoked)
            && checked(&mut second_list, &second, &token) == Err(Check::Revoked)
    });
    // A cutoff concerns the whole second.
    until("a new token is accepted", || checked(&mut first_list, &scene.broker, &scene.token()) == Ok(()));
}

#[test]
fn blocks_and_single_tokens_reach_followers() {
    let scene = Scene::new();
    let (ended, other) = (scene.token(), scene.token());
    let mut list = Revocations::default();
    assert_eq!(checked(&mut list, &scene.broker, &ended), Ok(()));
    assert_eq!(scene.broker.send(&form("/revoke", &ended)).status, 200);
    until("the ended token is refused", || checked(&mut list, &scene.broker, &ended) == Err(Check::Revoked));
    assert_eq!(checked(&mut list, &scene.broker, &other), Ok(()));
    let mut block = of_workload("b-1");
    block["block"] = true.into();
    scene.revoke(block);
    until("the block is known", || checked(&mut list, &scene.broker, &other) == Err(Check::Revoked));
}

/// The types exclude each other, so neither document passes where the other belongs.
#[test]
fn document_is_no_token_and_no_token_a_document() {
    let scene = Scene::new();
    let list = document(&scene.broker).jwt;
    let token = scene.token();
    let bearer = |request: Request| request.with("authorization", &format!("Bearer {list}"));
    for request in [
        form("/introspect", &token),
        Request::get("/admin/revocations"),
        Request::get("/forward-auth/https%3A%2F%2Fapi.example"),
    ] {
        assert_eq!(scene.broker.send(&bearer(request)).status, 401);
    }
    assert_eq!(scene.introspect(&list).text(), INACTIVE);
    assert_eq!(scene.broker.send(&Form::of(&list).request()).status, 400);
    let keys = Keys::parse(scene.broker.jwks().to_string().as_bytes()).expect("keys");
    assert_eq!(verify(&list, &keys, &rules(), now()).expect_err("a list").check, Check::Token);
    let error = Revocations::default().store(&token, &keys, &rules(), now()).expect_err("a token");
    assert_eq!(error.reason, "list of revocations: `typ` is not vouchsafe-revocations+jwt");
}

/// A copy of the database lacks revocations. While it looks like the database that it was made of, followers refuse its
/// lists; once it says that it knows nothing of earlier tokens, they refuse these.
#[test]
fn restored_database_revives_no_token() {
    let scene = Scene::new();
    let began_at = now();
    let token = scene.token();
    let database_file = scene.setup.database();
    let copy = database_file.with_extension("copy");
    let at = |broker: &Broker, list: &mut Revocations| checked(list, broker, &token);
    let mut list = Revocations::default();
    let database = rusqlite::Connection::open(&database_file).expect("opens");
    database.execute("VACUUM INTO ?1", [copy.to_str().expect("a path")]).expect("a copy");
    drop(database);
    scene.revoke(of_workload("r-1"));
    until("the token is revoked", || at(&scene.broker, &mut list) == Err(Check::Revoked));
    let Scene { setup, broker, .. } = scene;
    drop(broker);
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", database_file.display());
        let _may_be_missing = std::fs::remove_file(file);
    }
    std::fs::rename(&copy, &database_file).expect("restored");
    // As under Spin, where nothing marks a database as in use, nobody notices.
    let database = rusqlite::Connection::open(&database_file).expect("opens");
    database.execute("DELETE FROM meta WHERE name = 'alive_at'", []).expect("deleted");
    drop(database);
    let broker = setup.start();
    assert_eq!(at(&broker, &mut list), Err(Check::Revocations), "the sequence went back");
    drop(broker);
    let database = rusqlite::Connection::open(&database_file).expect("opens");
    database.execute("DELETE FROM meta WHERE name = 'created_at'", []).expect("deleted");
    drop(database);
    // The marks of two stores differ by a second at least.
    until("a later second", || now() > began_at);
    let broker = setup.start();
    assert_eq!(at(&broker, &mut list), Err(Check::Revoked), "nothing is known of it");
}

/// Fails closed: an old list would hide what the store knows by now.
#[test]
fn no_list_without_the_store() {
    let scene = Scene::new();
    let before = document(&scene.broker);
    let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
    database.execute("ALTER TABLE operations RENAME TO gone", []).expect("renamed");
    let mut last = Value::Null;
    until("no list", || {
        let response = scene.broker.get("/revocations");
        last = if response.status == 503 { response.json()["error"].clone() } else { Value::Null };
        response.status == 503
    });
    assert_eq!(last, "temporarily_unavailable");
    database.execute("ALTER TABLE gone RENAME TO operations", []).expect("renamed");
    until("a list again", || scene.broker.get("/revocations").status == 200);
    assert_eq!(document(&scene.broker).number("seq"), before.number("seq"));
}
