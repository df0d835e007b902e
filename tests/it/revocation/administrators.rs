//! The operations behind `vouchsafe revoke`.

use crate::revocation::scene::*;
use serde_json::{Value, json};
use vouchsafe_harness::administration::*;
use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::bundle::API;
use vouchsafe_harness::exchange::{Want, refused};
use vouchsafe_harness::hsm::eventually;
use vouchsafe_harness::http::Request;
use vouchsafe_harness::jwt::Issued;

const REVOKED: Want = refused(400, "invalid_target", "exchange.revoked");

pub fn wants() -> Vec<Want> {
    vec![REVOKED]
}

fn bearer(request: Request, token: &str) -> Request {
    request.with("authorization", &format!("Bearer {token}"))
}

#[test]
fn revokes_tokens_of_one_workload() {
    let scene = Scene::new();
    let (token, caller) = (scene.token(), scene.resource_server(API));
    let answer = scene.revoke(of_workload("r-1"));
    let claims = Issued::parse(&token).claims;
    let affected = json!({
        "tokens": 1, "last_expires_at": claims["exp"], "complete": true,
        "workloads": [{
            "issuer": "main", "subject": WORKLOAD_SUBJECT, "audience": API, "tokens": 1, "last_expires_at": claims["exp"],
        }],
    });
    assert_eq!(answer["affected"], affected);
    assert_eq!(answer["revocation"]["actor"], "main:repo:octo-org/777:ref:refs/heads/main");
    assert_eq!(scene.introspect_as(&caller, &token).text(), INACTIVE, "the resource server's own token stays valid");
}

#[test]
fn blocks_a_workload_until_lifted() {
    let scene = Scene::new();
    let token = scene.token();
    let mut block = of_workload("r-1");
    block["block"] = true.into();
    scene.revoke(block);
    assert!(!scene.is_active(&token));
    let response = scene.exchange();
    assert_eq!((response.status, &response.json()["error"]), (400, &"invalid_target".into()));
    eventually("its line", || {
        let mut lines = scene.broker.lines_so_far("token").into_iter();
        lines.find(|line| line["slug"] == "exchange.revoked")
    });
    let audit = |scene: &Scene| -> (String, String) {
        let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
        let sql = "SELECT outcome, slug FROM audit ORDER BY seq DESC LIMIT 1";
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a record")
    };
    assert_eq!(audit(&scene), ("refused".to_owned(), "exchange.revoked".to_owned()));
    // Other workloads are not concerned.
    let lifter = scene.admin("revoke:lift");
    let lifted = scene.broker.send(&lift(&lifter, &json!({ "id": "r-1", "reason": "fixed" })));
    assert_eq!(lifted.status, 200, "{}", lifted.text());
    assert!(!scene.is_active(&token), "lifting revives nothing");
    // The second of the lift still counts as blocked.
    let issued = eventually("a token", || Some(scene.exchange()).filter(|response| response.status == 200));
    let new = issued.json()["access_token"].as_str().expect("a token").to_owned();
    assert!(scene.is_active(&new));
    scene.broker.assert_healthy();
}

#[test]
fn all_brokers_of_a_database_refuse_at_once() {
    let scene = Scene::new();
    let token = scene.token();
    let other = scene.setup.start();
    let caller = scene.resource_server(API);
    let mut block = of_workload("r-1");
    block["block"] = true.into();
    scene.revoke(block);
    let answer = other.send(&bearer(form("/introspect", &token), &caller));
    assert_eq!(answer.text(), INACTIVE);
    assert_eq!(exchange(&other, &scene.issuer, WORKLOAD, API, "read").status, 400);
}

#[test]
fn dry_run_only_counts() {
    let scene = Scene::new();
    let token = scene.token();
    let mut body = of_workload("r-1");
    body["dry_run"] = true.into();
    let answer = scene.revoke(body);
    assert_eq!((&answer["affected"]["tokens"], answer.get("revocation")), (&json!(1), None));
    assert!(scene.is_active(&token));
}

#[test]
fn repeated_calls_have_one_effect() {
    let scene = Scene::new();
    let first = scene.revoke(of_workload("r-1"));
    assert_eq!(scene.revoke(of_workload("r-1"))["revocation"], first["revocation"]);
    let other = json!({ "id": "r-1", "reason": "x", "all": true });
    let response = scene.broker.send(&revoke(&scene.admin("revoke"), &other));
    assert_eq!((response.status, &response.json()["error"]), (409, &"conflict".into()));
    let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
    let operations = "SELECT group_concat(operation || ' ' || actor || ' ' || reason) FROM operations";
    let operations: String = database.query_row(operations, [], |row| row.get(0)).expect("operations");
    assert_eq!(operations, "revoke main:repo:octo-org/777:ref:refs/heads/main incident 7");
}

#[test]
fn lists_revocations_in_force() {
    let scene = Scene::new();
    scene.revoke(of_workload("r-1"));
    scene.revoke(json!({ "id": "r-2", "reason": "x", "audience": API, "block": true }));
    let list = bearer(Request::get("/admin/revocations"), &scene.admin("revoke:read"));
    let answer = scene.broker.send(&list).json();
    let ids: Vec<_> = answer["revocations"].as_array().expect("a list").iter().map(|it| it["id"].clone()).collect();
    assert_eq!(ids, ["r-1", "r-2"]);
}

/// Cedar decides who may do what: nobody gets scopes that policy does not permit, and each operation needs its own.
#[test]
fn policy_decides_who_administers() {
    let scene = Scene::new();
    let admin_audience = format!("{}/admin", issuer_url(&scene.setup));
    let denied = exchange(&scene.broker, &scene.issuer, WORKLOAD, &admin_audience, "revoke");
    assert_eq!(denied.json()["error"], "invalid_target");
    let reader = scene.admin("revoke:read");
    let none = scene.admin("");
    for (request, scope) in [
        (revoke(&reader, &of_workload("r-1")), "revoke"),
        (lift(&reader, &json!({ "id": "r-1", "reason": "x" })), "revoke:lift"),
        (bearer(Request::get("/admin/revocations"), &none), "revoke:read"),
    ] {
        let response = scene.broker.send(&request);
        assert_eq!((response.status, &response.json()["error"]), (403, &"insufficient_scope".into()));
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        assert_eq!(response.header("www-authenticate"), Some(challenge.as_str()));
    }
    for token in [scene.token(), scene.resource_server(API), String::new(), "garbage".to_owned()] {
        let response = scene.broker.send(&revoke(&token, &of_workload("r-1")));
        assert_eq!(response.status, 401, "{token}");
    }
    assert_eq!(scene.broker.send(&Request::get("/admin/revocations")).status, 401);
    let answer = scene.broker.send(&bearer(Request::get("/admin/revocations"), &reader)).json();
    assert_eq!(answer, json!({ "revocations": [] }));
    scene.broker.assert_healthy();
}

/// A broker whose bundle has no such audience can't be administered by anyone.
#[test]
fn nobody_administers_without_the_audience() {
    let issuer = vouchsafe_harness::issuer::Issuer::honest();
    let broker = Setup::trusting(&issuer).start();
    let token = obtain(&broker, &issuer, WORKLOAD, API, "read");
    assert_eq!(broker.send(&revoke(&token, &of_workload("r-1"))).status, 401);
}

#[test]
fn refuses_unclear_requests_before_any_effect() {
    let scene = Scene::new();
    let admin = scene.admin(ADMIN_SCOPES);
    let send = |body: &Value| scene.broker.send(&revoke(&admin, body));
    for body in [json!({}), json!({ "id": "a", "reason": "b" }), json!({ "id": "a", "reason": "b", "subjekt": "c" })] {
        let response = send(&body);
        assert_eq!((response.status, &response.json()["error"]), (400, &"invalid_request".into()), "{body}");
    }
    let form = bearer(Request::post("/admin/revocations", "text/plain", "{}"), &admin);
    assert_eq!(scene.broker.send(&form).status, 415);
    let put = Request { method: "PUT".into(), ..revoke(&admin, &of_workload("r")) };
    let response = scene.broker.send(&put);
    assert_eq!((response.status, response.header("allow")), (405, Some("GET, POST")));
    let list = bearer(Request::get("/admin/revocations"), &admin);
    assert_eq!(scene.broker.send(&list).json(), json!({ "revocations": [] }));
}

/// No administrator's token and no reason is in the log.
#[test]
fn log_names_the_decision_only() {
    let scene = Scene::new();
    let admin = scene.admin("revoke");
    scene.broker.send(&revoke(&admin, &of_workload("r-1")));
    let line = scene.broker.line("admin-revocations");
    assert_eq!((&line["slug"], &line["decision_id"]), (&"ok".into(), &jti(&admin).into()));
    let signature = admin.rsplit('.').next().expect("a signature");
    for secret in [signature, "incident 7", WORKLOAD_SUBJECT] {
        assert!(!line.to_string().contains(secret), "{line}");
    }
}
