//! Token Status Lists (draft-ietf-oauth-status-list) through the whole broker.

use crate::revocation::scene::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vouchsafe_harness::administration::*;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY};
use vouchsafe_harness::http::{Request, Response};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::Issued;
use vouchsafe_harness::now;
use vouchsafe_verifier::{Algorithm, Check, Keys, Rules, StatusLists, VerifiedToken, verify};

/// A broker whose audience [`API`] has status lists.
fn listing(issuer: &Issuer) -> Setup {
    let setup = administered(Setup::trusting(issuer));
    let path = setup.folder.join("policies/audiences/api.toml");
    let audience = std::fs::read_to_string(&path).expect("an audience file");
    std::fs::write(&path, format!("status_list = true\n{audience}")).expect("a file");
    setup
}

/// List and index of the token's status.
fn place(token: &str) -> (String, u64) {
    let status = Issued::parse(token).claims["status"]["status_list"].clone();
    (status["uri"].as_str().expect("a URL").to_owned(), status["idx"].as_u64().expect("an index"))
}

fn token(broker: &Broker, issuer: &Issuer) -> String {
    obtain(broker, issuer, WORKLOAD, API, "read")
}

fn path(uri: &str) -> String {
    uri.strip_prefix(BROKER).expect("a URL of the broker").to_owned()
}

fn keys(broker: &Broker) -> Keys {
    Keys::parse(broker.jwks().to_string().as_bytes()).expect("keys")
}

fn rules() -> Rules<'static> {
    Rules { algorithms: &[Algorithm::Es256], ..Rules::access_token(BROKER, API) }
}

fn verified(broker: &Broker, token: &str) -> VerifiedToken {
    verify(token, &keys(broker), &rules(), now()).expect("a valid token")
}

/// What the verifier says of the token with a list that it fetches now.
fn judge(broker: &Broker, token: &str) -> Result<(), Check> {
    let token = verified(broker, token);
    let mut lists = StatusLists::default();
    let uri = lists.due(&token, &rules(), 0).expect("a list").expect("due");
    lists.attempt(&uri, 0);
    let response = broker.get(&path(&uri));
    if response.status == 200 {
        lists.store(&uri, &response.text(), &keys(broker), &rules(), now()).expect("a list of the broker");
    }
    lists.check(&token, &rules(), now()).map_err(|error| error.check)
}

/// Waits until the list that is published says so: an instance reads the store at most once a second.
fn wait_until_revoked(broker: &Broker, token: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while judge(broker, token) != Err(Check::Revoked) {
        assert!(std::time::Instant::now() < end, "the token is not listed");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn revoke_workload(broker: &Broker, issuer: &Issuer, id: &str) {
    let admin = obtain(broker, issuer, ADMIN, &format!("{BROKER}/admin"), "revoke");
    let response = broker.send(&revoke(&admin, &of_workload(id)));
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn revoked_tokens_are_listed_within_seconds() {
    let issuer = Issuer::honest();
    let setup = listing(&issuer);
    let broker = setup.start();
    let tokens: Vec<_> = (0..3).map(|_| token(&broker, &issuer)).collect();
    for token in &tokens {
        assert_eq!(judge(&broker, token), Ok(()));
    }
    let ended = broker.send(&form("/revoke", &tokens[0]));
    assert_eq!(ended.status, 200);
    wait_until_revoked(&broker, &tokens[0]);
    assert_eq!(judge(&broker, &tokens[1]), Ok(()));
    revoke_workload(&broker, &issuer, "r-1");
    wait_until_revoked(&broker, &tokens[2]);
    assert_eq!(judge(&broker, &tokens[1]), Err(Check::Revoked));
    broker.assert_healthy();
}

/// Index reuse: however instances come and go, no two tokens have the same place.
#[test]
fn no_two_tokens_have_the_same_place() {
    let issuer = Issuer::honest();
    let setup = listing(&issuer);
    let mut places = BTreeSet::new();
    let mut count = 0;
    for _ in 0..3 {
        let broker = setup.start();
        for _ in 0..70 {
            places.insert(place(&token(&broker, &issuer)));
            count += 1;
        }
    }
    assert_eq!(places.len(), count);
}

/// The record names the place in the same statement, so a list never misses a released token.
#[test]
fn record_has_the_place_of_its_token() {
    let issuer = Issuer::honest();
    let setup = listing(&issuer);
    let broker = setup.start();
    let token = token(&broker, &issuer);
    let other = obtain(&broker, &issuer, WORKLOAD, DEPLOY, "");
    let database = rusqlite::Connection::open(setup.database()).expect("opens");
    let recorded = |token: &str| -> (Option<String>, Option<i64>) {
        let sql = "SELECT status_list, status_index FROM audit WHERE decision_id = ?1";
        database.query_row(sql, [jti(token)], |row| Ok((row.get(0)?, row.get(1)?))).expect("a record")
    };
    let (uri, index) = place(&token);
    assert_eq!(recorded(&token), (Some(path(&uri).replace("/status/", "")), i64::try_from(index).ok()));
    assert_eq!(recorded(&other), (None, None));
    assert_eq!(Issued::parse(&other).claims.get("status"), None);
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.header(name).unwrap_or_default()
}

#[test]
fn list_is_cacheable_and_public() {
    let issuer = Issuer::honest();
    let broker = listing(&issuer).start();
    let (uri, _) = place(&token(&broker, &issuer));
    let response = broker.get(&path(&uri));
    assert_eq!((response.status, header(&response, "content-type")), (200, "application/statuslist+jwt"));
    assert_eq!(header(&response, "cache-control"), "public, max-age=1");
    assert_eq!(header(&response, "access-control-allow-origin"), "*");
    // The list is signed again every 5 s, so two requests in a row almost always get the same one.
    let is_known = |_| {
        let first = broker.get(&path(&uri));
        let again = broker.send(&Request::get(&path(&uri)).with("if-none-match", header(&first, "etag")));
        again.status == 304
    };
    assert!((0..5).any(is_known), "the entity tag counts");
    let all = broker.get("/status");
    assert_eq!(all.json(), json!({ "status_lists": [uri] }));
    let metadata: Value = broker.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(metadata["status_list_aggregation_endpoint"], json!(format!("{BROKER}/status")));
}

#[test]
fn other_lists_are_not_found() {
    let issuer = Issuer::honest();
    let broker = listing(&issuer).start();
    assert_eq!(broker.get("/status").json(), json!({ "status_lists": [] }));
    let (uri, _) = place(&token(&broker, &issuer));
    for path in ["/status/", "/status/x", "/status/1-0", "/status/1-0/", &format!("{}0", path(&uri)), "/statuses"] {
        let response = broker.get(path);
        assert_eq!((response.status, header(&response, "cache-control")), (404, "no-store"), "{path}");
    }
    let mut post = Request::get(&path(&uri));
    post.method = "POST".into();
    assert_eq!(broker.send(&post).status, 405);
}
