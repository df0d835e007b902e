//! `/forward-auth/…` for reverse proxies.

use crate::revocation::scene::*;
use vouchsafe_harness::administration::*;
use vouchsafe_harness::bundle::DEPLOY;
use vouchsafe_harness::http::{Request, Response};
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::keys::Key;

const PATH: &str = "/forward-auth/https%3A%2F%2Fapi.example";

fn ask(scene: &Scene, path: &str, token: &str) -> Response {
    scene.broker.send(&Request::get(path).with("authorization", &format!("Bearer {token}")))
}

#[test]
fn refuses_revoked_tokens_at_once() {
    let scene = Scene::new();
    let token = scene.token();
    let response = ask(&scene, PATH, &token);
    assert_eq!((response.status, response.text().as_str()), (200, "{}\n"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    scene.revoke(of_workload("r-1"));
    let response = ask(&scene, PATH, &token);
    assert_eq!(response.status, 401);
    let challenge = response.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    scene.broker.assert_healthy();
}

#[test]
fn takes_any_method_and_appended_path() {
    let scene = Scene::new();
    let token = scene.token();
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let mut request = Request::get(&format!("{PATH}/v1/things?audience=x&a=%zz"));
        request.method = method.into();
        let request = request.with("authorization", &format!("Bearer {token}"));
        assert_eq!(scene.broker.send(&request).status, 200, "{method}");
    }
}

#[test]
fn requires_audience_and_scopes() {
    let scene = Scene::new();
    let (token, deploy) = (scene.token(), obtain(&scene.broker, &scene.issuer, WORKLOAD, DEPLOY, ""));
    assert_eq!(ask(&scene, &format!("{PATH}%20read"), &token).status, 200);
    assert_eq!(ask(&scene, &format!("{PATH}%20read%20write"), &token).status, 403);
    assert_eq!(ask(&scene, PATH, &deploy).status, 401);
    assert_eq!(ask(&scene, "/forward-auth/", &token).status, 400);
    assert_eq!(ask(&scene, "/forward-auth", &token).status, 400);
    assert_eq!(scene.broker.get(PATH).status, 401);
}

/// A token that was signed with the broker's key but never recorded is refused too, and so are forgeries.
#[test]
fn refuses_forged_and_unrecorded_tokens() {
    let scene = Scene::new();
    let genuine = Issued::parse(&scene.token());
    let forged = jwt::mint_raw(&Key::issuer("ES256"), genuine.header.to_string(), genuine.claims.to_string());
    assert_eq!(ask(&scene, PATH, &forged).status, 401);
    let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
    database.execute("DELETE FROM audit WHERE decision_id = ?1", [jti(&genuine.jwt)]).expect("deleted");
    assert_eq!(ask(&scene, PATH, &genuine.jwt).status, 401);
}
