//! `POST /revoke` for holders of tokens (RFC 7009).

use crate::revocation::scene::*;
use vouchsafe_harness::administration::*;
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY};
use vouchsafe_harness::exchange::FORM;
use vouchsafe_harness::http::Request;
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::keys::Key;

/// RFC 7009 §2.2: 200 for tokens that are unknown too.
#[test]
fn ends_a_token_at_once() {
    let scene = Scene::new();
    let (token, other) = (scene.token(), scene.token());
    assert!(scene.is_active(&token));
    for _ in 0..2 {
        let response = scene.broker.send(&form("/revoke", &token));
        assert_eq!((response.status, response.text().as_str()), (200, "{}\n"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    assert!(!scene.is_active(&token));
    assert!(scene.is_active(&other), "another token of the same workload stays valid");
    assert_eq!(scene.exchange().status, 200, "the workload gets new tokens");
    let line = scene.broker.line("revoke");
    assert_eq!((&line["slug"], &line["decision_id"]), (&"ok".into(), &jti(&token).into()));
    scene.broker.assert_healthy();
}

/// Keycloak#31296: revoked tokens became valid again when the server restarted.
#[test]
fn stays_ended_after_a_restart() {
    let scene = Scene::new();
    let token = scene.token();
    scene.broker.send(&form("/revoke", &token));
    let Scene { issuer, setup, broker } = scene;
    drop(broker);
    let broker = setup.start();
    let scene = Scene { issuer, setup, broker };
    assert!(!scene.is_active(&token));
}

/// carbon-apimgt#7423 keyed revoked tokens on the signature, and ECDSA signatures have a second valid form.
#[test]
fn ends_both_forms_of_a_signature() {
    let scene = Scene::new();
    let token = scene.token();
    let twin = jwt::second_signature(&token);
    assert!(Issued::parse(&twin).verifies(&scene.broker.jwks()));
    assert!(scene.is_active(&twin), "both forms are valid");
    assert_eq!(scene.broker.send(&form("/revoke", &token)).status, 200);
    assert!(!scene.is_active(&twin));
}

/// Keycloak#15195 still took revoked tokens at another endpoint.
#[test]
fn ends_tokens_for_the_broker_itself() {
    let scene = Scene::new();
    let (admin, caller) = (scene.admin(ADMIN_SCOPES), scene.resource_server(API));
    let list = Request::get("/admin/revocations").with("authorization", &format!("Bearer {admin}"));
    assert_eq!(scene.broker.send(&list).status, 200);
    for token in [&admin, &caller] {
        assert_eq!(scene.broker.send(&form("/revoke", token)).status, 200);
    }
    assert_eq!(scene.broker.send(&list).status, 401);
    assert_eq!(scene.introspect_as(&caller, &scene.token()).status, 401);
}

/// Only a live token of this broker leads to a write.
#[test]
fn writes_nothing_for_other_tokens() {
    let scene = Scene::new();
    let token = scene.token();
    let genuine = Issued::parse(&token);
    let forged = jwt::mint_raw(&Key::issuer("ES256"), genuine.header.to_string(), genuine.claims.to_string());
    let unsigned = format!("{}.", token.rsplit_once('.').expect("a signature").0);
    let foreign = jwt::mint("RS256", &scene.issuer.claims(vouchsafe_harness::now()));
    for text in [forged.as_str(), &unsigned, &foreign, "garbage", &"x".repeat(20_000)] {
        let response = scene.broker.send(&form("/revoke", text));
        assert_eq!((response.status, response.text().as_str()), (200, "{}\n"), "{text}");
    }
    assert!(scene.is_active(&token));
    let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
    let count = |table: &str| -> i64 {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
    };
    assert_eq!((count("revocations"), count("operations")), (0, 0));
    scene.broker.assert_healthy();
}

#[test]
fn requires_a_form_with_one_token() {
    let scene = Scene::new();
    for (request, status) in [
        (Request::post("/revoke", FORM, ""), 400),
        (Request::post("/revoke", FORM, "token=a&token=b"), 400),
        (Request::post("/revoke?token=a", FORM, "token=a"), 400),
        (Request::post("/revoke", "application/json", "{}"), 415),
        (Request::get("/revoke"), 405),
    ] {
        let response = scene.broker.send(&request);
        assert_eq!(response.status, status, "{} {}", request.target, response.text());
    }
    assert_eq!(scene.broker.send(&Request::get("/revoke")).header("allow"), Some("POST"));
}

/// RFC 7009 §2.1: a wrong hint must not stop the search.
#[test]
fn ignores_hints_and_client_credentials() {
    let scene = Scene::new();
    for (more, authorization) in [("&client_id=ci&client_secret=x", None), ("", Some("Basic Y2k6eA=="))] {
        let token = scene.token();
        let request = Request::post("/revoke", FORM, format!("token={token}&token_type_hint=refresh_token{more}"));
        let request = authorization.iter().fold(request, |request, value| request.with("authorization", value));
        assert_eq!(scene.broker.send(&request).status, 200);
        assert!(!scene.is_active(&token));
    }
}

/// The token of one audience says nothing at another: the metadata name the endpoints, and nothing else is accepted.
#[test]
fn metadata_name_the_endpoints() {
    let scene = Scene::new();
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let metadata = scene.broker.get(path).json();
        assert_eq!(metadata["revocation_endpoint"], format!("{BROKER}/revoke"));
        assert_eq!(metadata["introspection_endpoint"], format!("{BROKER}/introspect"));
    }
    let deploy = obtain(&scene.broker, &scene.issuer, WORKLOAD, DEPLOY, "");
    assert_eq!(scene.introspect_as(&deploy, &deploy).status, 401);
}
