//! `POST /introspect` (RFC 7662) for callers with a token of the broker.

use crate::revocation::scene::*;
use serde_json::json;
use vouchsafe_harness::administration::*;
use vouchsafe_harness::bundle::{API, BROKER, DEPLOY};
use vouchsafe_harness::exchange::{FORM, TYPE_JWT};
use vouchsafe_harness::http::Request;
use vouchsafe_harness::jwt::{self, Issued};
use vouchsafe_harness::keys::Key;

#[test]
fn describes_a_live_token() {
    let scene = Scene::new();
    let token = scene.token();
    let claims = Issued::parse(&token).claims;
    let response = scene.introspect(&token);
    let expected = json!({
        "active": true, "iss": BROKER, "sub": format!("main:{WORKLOAD_SUBJECT}"), "aud": API, "scope": "read",
        "client_id": format!("main:{WORKLOAD_SUBJECT}"), "iat": claims["iat"], "exp": claims["exp"],
        "jti": claims["jti"], "token_type": "Bearer",
    });
    assert_eq!((response.status, response.json()), (200, expected));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let line = scene.broker.line("introspect");
    assert!(line["decision_id"].is_string() && line["slug"] == "ok", "{line}");
    assert!(!line.to_string().contains(WORKLOAD_SUBJECT), "{line}");
    scene.broker.assert_healthy();
}

#[test]
fn names_no_type_for_tokens_of_type_jwt() {
    let scene = Scene::new();
    let form =
        vouchsafe_harness::exchange::Form::of(&jwt::mint("RS256", &scene.issuer.claims(vouchsafe_harness::now())));
    let issued = scene.broker.send(&form.and("requested_token_type", TYPE_JWT).request());
    let token = issued.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(scene.introspect(&token).json()["token_type"], "N_A");
}

/// One answer for every token that the caller may not know about (RFC 7662 §2.2): forged, expired, revoked, for another
/// audience, not a token at all.
#[test]
fn refuses_every_token_alike() {
    let scene = Scene::new();
    let caller = scene.resource_server(API);
    let revoked = scene.token();
    scene.broker.send(&form("/revoke", &revoked));
    let genuine = Issued::parse(&scene.token());
    let forge = |header: serde_json::Value| {
        jwt::mint_raw(&Key::issuer("ES256"), header.to_string(), genuine.claims.to_string())
    };
    let unsigned = {
        let header = jwt::base64url(r#"{"alg":"none","typ":"at+jwt"}"#);
        format!("{header}.{}.", jwt::base64url(genuine.claims.to_string()))
    };
    let with_own_key = forge(json!({
        "alg": "ES256", "typ": "at+jwt", "kid": "mine", "jwk": { "kty": "EC" }, "jku": "https://evil.example/jwks",
    }));
    for text in [
        revoked.as_str(),
        &obtain(&scene.broker, &scene.issuer, WORKLOAD, DEPLOY, ""),
        &scene.admin("revoke"),
        &caller,
        &forge(genuine.header.clone()),
        &with_own_key,
        &unsigned,
        &jwt::mint("RS256", &scene.issuer.claims(vouchsafe_harness::now())),
        "garbage",
        &"x".repeat(20_000),
    ] {
        let response = scene.introspect_as(&caller, text);
        assert_eq!((response.status, response.text().as_str()), (200, INACTIVE), "{text}");
    }
    scene.broker.assert_healthy();
}

#[test]
fn tells_nothing_without_the_audience_as_scope() {
    let scene = Scene::new();
    let token = scene.token();
    let without = scene.resource_server("");
    assert_eq!(scene.introspect_as(&without, &token).text(), INACTIVE);
    assert!(scene.is_active(&token));
}

/// A token that was signed with a stolen key verifies everywhere but was never recorded.
#[test]
fn unrecorded_tokens_are_inactive() {
    let scene = Scene::new();
    let token = scene.token();
    let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
    assert!(scene.is_active(&token));
    database.execute("DELETE FROM audit WHERE decision_id = ?1", [jti(&token)]).expect("deletes");
    assert!(Issued::parse(&token).verifies(&scene.broker.jwks()));
    assert!(!scene.is_active(&token));
}

#[test]
fn tokens_expire_on_time() {
    let issuer = vouchsafe_harness::issuer::Issuer::honest();
    let setup = administered(vouchsafe_harness::broker::Setup::trusting(&issuer));
    let broker = setup.start();
    let token = obtain(&broker, &issuer, WORKLOAD, API, "read");
    let caller = obtain(&broker, &issuer, RESOURCE_SERVER, &format!("{BROKER}/introspect"), API);
    drop(broker);
    let later = setup.at_time(Issued::parse(&token).number("exp")).start();
    let request = form("/introspect", &token).with("authorization", &format!("Bearer {caller}"));
    let response = later.send(&request);
    assert_eq!(response.status, 401, "the caller's token has expired too: {}", response.text());
    assert_eq!(response.header("www-authenticate").map(|value| value.contains("invalid_token")), Some(true));
}

#[test]
fn callers_need_a_token_of_this_broker() {
    let scene = Scene::new();
    let token = scene.token();
    let foreign = jwt::mint("RS256", &scene.issuer.claims(vouchsafe_harness::now()));
    let ask = |headers: &[(&str, &str)]| {
        let request = form("/introspect", &token);
        let request = headers.iter().fold(request, |request, (name, value)| request.with(name, value));
        let response = scene.broker.send(&request);
        assert!(!response.text().contains("active"), "{}", response.text());
        (response.status, response.header("www-authenticate").map(str::to_owned))
    };
    let invalid = "Bearer error=\"invalid_token\", \
        error_description=\"the access token is invalid, expired, revoked, or for another audience\"";
    let schemes = "Bearer, DPoP algs=\"ES256 EdDSA ES384 RS256\"";
    assert_eq!(ask(&[]), (401, Some(schemes.to_owned())));
    assert_eq!(ask(&[("authorization", "Basic YTpi")]), (401, Some("Basic realm=\"vouchsafe\"".to_owned())));
    for bearer in [foreign.as_str(), &scene.admin("revoke"), &token, "garbage"] {
        let header = format!("Bearer {bearer}");
        assert_eq!(ask(&[("authorization", &header)]), (401, Some(invalid.to_owned())), "{bearer}");
    }
    let good = format!("Bearer {}", scene.resource_server(API));
    assert_eq!(ask(&[("authorization", &good), ("authorization", &good)]).0, 401);
    scene.broker.assert_healthy();
}

#[test]
fn requires_a_form_with_one_token() {
    let scene = Scene::new();
    let caller = format!("Bearer {}", scene.resource_server(API));
    for (request, status) in [
        (Request::post("/introspect", FORM, ""), 400),
        (Request::post("/introspect", FORM, "token=a&token=b"), 400),
        (Request::post("/introspect?token=a", FORM, "token=a"), 400),
        (Request::post("/introspect", "application/json", "{}"), 415),
        (Request::get("/introspect"), 405),
    ] {
        let response = scene.broker.send(&request.with("authorization", &caller));
        assert_eq!(response.status, status, "{}", response.text());
    }
}

/// Introspection is one read: nobody can fill the disk with it.
#[test]
fn writes_nothing() {
    let scene = Scene::new();
    let (token, caller) = (scene.token(), scene.resource_server(API));
    let rows = || {
        let database = rusqlite::Connection::open(scene.setup.database()).expect("opens");
        ["audit", "operations", "revocations", "consumed"].map(|table| -> i64 {
            database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
        })
    };
    let before = rows();
    for text in [token.as_str(), "garbage"] {
        scene.introspect_as(&caller, text);
        scene.broker.send(&form("/introspect", text));
    }
    assert_eq!(rows(), before);
}
