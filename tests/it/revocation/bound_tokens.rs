//! Tokens that are bound to a key, at the broker's own endpoints and behind reverse proxies (RFC 9449 §7 to §9).

use crate::revocation::scene::*;
use serde_json::json;
use vouchsafe_harness::administration::*;
use vouchsafe_harness::broker::{Broker, Setup};
use vouchsafe_harness::bundle::{API, BROKER};
use vouchsafe_harness::exchange::{FORM, Form, Want, refused};
use vouchsafe_harness::http::{Request, Response};
use vouchsafe_harness::issuer::Issuer;
use vouchsafe_harness::jwt::{self, base64url};
use vouchsafe_harness::keys::Key;
use vouchsafe_harness::now;
use vouchsafe_harness::proof::Proof;

const PATH: &str = "/forward-auth/https%3A%2F%2Fapi.example";
const CLIENT: &str = "192.0.2.7";

const NONCE: Want = refused(400, "use_dpop_nonce", "proof.nonce_required");
const TOKEN: Want = refused(401, "invalid_dpop_proof", "proof.token_mismatch");

pub fn wants() -> Vec<Want> {
    vec![NONCE, TOKEN]
}

fn key() -> Key {
    Key::stranger("ES256")
}

/// A proof for a request of `method` to `url` that presents `token`.
fn proof(method: &str, url: &str, token: &str) -> Proof {
    let hash = base64url(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()));
    Proof::by(key()).claim("htm", json!(method)).claim("htu", json!(url)).claim("ath", json!(hash))
}

fn send(broker: &Broker, request: Request, token: &str, proof: &str) -> Response {
    broker.send(&request.with("authorization", &format!("DPoP {token}")).with("dpop", proof))
}

/// The exchange for a token that is bound to [`key`]. The client's address is there for brokers that trust the proxy.
fn exchange(issuer: &Issuer, workload: &str, audience: &str, scopes: &str, proof: &Proof) -> Request {
    let mut claims = issuer.claims(now());
    claims["repository_id"] = workload.into();
    claims["sub"] = format!("repo:octo-org/{workload}:ref:refs/heads/main").into();
    let form = Form::of(&jwt::mint("RS256", &claims)).set("audience", audience).and("scope", scopes);
    form.request().with("dpop", &proof.sign()).with("x-forwarded-for", CLIENT)
}

fn bound(broker: &Broker, issuer: &Issuer, workload: &str, audience: &str, scopes: &str) -> String {
    let response = broker.send(&exchange(issuer, workload, audience, scopes, &Proof::by(key())));
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["access_token"].as_str().expect("a token").to_owned()
}

/// Checks an answer of `route`, and its line in the log, which is the next one of that route.
fn check(broker: &Broker, route: &str, response: &Response, want: Want) {
    let Want::Refused { status, error: code, slug } = want else { panic!("a refusal") };
    assert_eq!(error(response), (status, code.to_owned()), "{}", response.text());
    assert_eq!(broker.line(route)["slug"], json!(slug));
}

fn error(response: &Response) -> (u16, String) {
    (response.status, response.json()["error"].as_str().unwrap_or_default().to_owned())
}

/// `mcp-oauth#383`: a bound token was taken as a bearer token.
#[test]
fn own_endpoints_take_bound_tokens_with_their_proof_only() {
    let scene = Scene::new();
    let admin = bound(&scene.broker, &scene.issuer, ADMIN, &format!("{BROKER}/admin"), ADMIN_SCOPES);
    let bearer = Request::get("/admin/revocations").with("authorization", &format!("Bearer {admin}"));
    assert_eq!(error(&scene.broker.send(&bearer)), (401, "invalid_token".into()));
    let without = Request::get("/admin/revocations").with("authorization", &format!("DPoP {admin}"));
    let refused = scene.broker.send(&without);
    assert_eq!(error(&refused), (401, "invalid_dpop_proof".into()));
    let challenge = refused.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("DPoP ") && challenge.ends_with("algs=\"ES256 EdDSA ES384 RS256\""), "{challenge}");
    let list = || Request::get("/admin/revocations");
    let url = format!("{BROKER}/admin/revocations");
    for (proof, expected) in [
        (proof("GET", &url, &admin), None),
        (proof("POST", &url, &admin), Some("invalid_dpop_proof")),
        (proof("GET", &format!("{BROKER}/introspect"), &admin), Some("invalid_dpop_proof")),
        (proof("GET", &url, &admin).claim("ath", json!(null)), Some("invalid_dpop_proof")),
    ] {
        let response = send(&scene.broker, list(), &admin, &proof.sign());
        match expected {
            None => assert_eq!(response.status, 200, "{}", response.text()),
            Some(code) => assert_eq!(error(&response), (401, code.into()), "{}", proof.claims),
        }
    }
    let body = json!({ "id": "r-1", "reason": "incident 7", "issuer": "main", "subject": WORKLOAD_SUBJECT });
    let revoke = || Request::post("/admin/revocations", "application/json", body.to_string());
    let once = proof("POST", &url, &admin).sign();
    assert_eq!(send(&scene.broker, revoke(), &admin, &once).status, 200);
    // wso2#23358: whoever saw a request can't send it again.
    assert_eq!(error(&send(&scene.broker, revoke(), &admin, &once)), (401, "invalid_dpop_proof".into()));
    scene.broker.assert_healthy();
}

/// kc#38333: the hash of the token was not compared.
#[test]
fn proof_for_another_token_is_refused() {
    let scene = Scene::new();
    let admin = bound(&scene.broker, &scene.issuer, ADMIN, &format!("{BROKER}/admin"), ADMIN_SCOPES);
    let other = proof("GET", &format!("{BROKER}/admin/revocations"), "another token").sign();
    let response = send(&scene.broker, Request::get("/admin/revocations"), &admin, &other);
    check(&scene.broker, "admin-revocations", &response, TOKEN);
}

#[test]
fn introspection_takes_bound_callers() {
    let scene = Scene::new();
    let caller = bound(&scene.broker, &scene.issuer, RESOURCE_SERVER, &format!("{BROKER}/introspect"), API);
    let (token, url) = (scene.token(), format!("{BROKER}/introspect"));
    let request = || Request::post("/introspect", FORM, format!("token={token}"));
    let once = proof("POST", &url, &caller).sign();
    let response = send(&scene.broker, request(), &caller, &once);
    assert_eq!((response.status, &response.json()["active"]), (200, &json!(true)));
    assert_eq!(error(&send(&scene.broker, request(), &caller, &once)), (401, "invalid_dpop_proof".into()));
}

/// A broker that trusts the proxy on loopback.
fn behind_a_proxy(issuer: &Issuer) -> Setup {
    let setup = administered(Setup::trusting(issuer));
    setup.variable("trusted_proxies", "127.0.0.1").variable("forwarded_header", "x-forwarded-for")
}

/// A request of the proxy about one of its clients, `method` and `uri`.
fn asked(method: &str, uri: &str) -> Request {
    let parts = [("method", method), ("proto", "https"), ("host", "api.example"), ("uri", uri)];
    let request = Request::get(PATH).with("x-forwarded-for", CLIENT);
    parts.iter().fold(request, |request, (name, value)| request.with(&format!("x-forwarded-{name}"), value))
}

#[test]
fn forward_auth_takes_the_proof_of_the_clients_request() {
    let issuer = Issuer::honest();
    let setup = behind_a_proxy(&issuer);
    let broker = setup.start();
    let token = bound(&broker, &issuer, WORKLOAD, API, "read");
    let url = "https://api.example/things";
    let once = proof("PUT", url, &token).sign();
    let response = send(&broker, asked("PUT", "/things?a=b"), &token, &once);
    assert_eq!((response.status, response.text().as_str()), (200, "{}\n"));
    let fresh = || proof("PUT", url, &token).sign();
    for (request, proof) in [
        (asked("PUT", "/things?a=b"), once),
        (asked("GET", "/things"), fresh()),
        (asked("PUT", "/others"), fresh()),
        (Request::get(PATH).with("x-forwarded-for", CLIENT), fresh()),
        (asked("PUT", "/things").with("x-forwarded-method", "PUT"), fresh()),
    ] {
        let response = send(&broker, request, &token, &proof);
        assert_eq!(error(&response), (401, "invalid_dpop_proof".into()), "{}", response.text());
    }
    broker.assert_healthy();
}

/// Without `trusted_proxies`, the headers could be the client's own.
#[test]
fn forward_auth_refuses_bound_tokens_without_a_trusted_proxy() {
    let scene = Scene::new();
    let token = bound(&scene.broker, &scene.issuer, WORKLOAD, API, "read");
    let proof = proof("PUT", "https://api.example/things", &token).sign();
    let response = send(&scene.broker, asked("PUT", "/things"), &token, &proof);
    assert_eq!(error(&response), (401, "invalid_dpop_proof".into()));
    assert!(response.text().contains("the proxy does not say which request"), "{}", response.text());
}

#[test]
fn bundle_may_require_nonces() {
    let issuer = Issuer::honest();
    let setup = administered(Setup::trusting(&issuer));
    let manifest = "name = \"tests\"\nversion = \"1\"\nproof_nonce_required = true\n";
    std::fs::write(setup.folder.join("policies/bundle.toml"), manifest).expect("a file");
    let broker = setup.start();
    let exchange =
        |proof: &Proof| broker.send(&exchange(&issuer, ADMIN, &format!("{BROKER}/admin"), ADMIN_SCOPES, proof));
    let refused = exchange(&Proof::by(key()));
    check(&broker, "token", &refused, NONCE);
    let nonce = refused.header("dpop-nonce").expect("a nonce").to_owned();
    assert_eq!(error(&exchange(&Proof::by(key()).claim("nonce", json!("x")))), (400, "use_dpop_nonce".into()));
    let response = exchange(&Proof::by(key()).claim("nonce", json!(nonce)));
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(response.header("dpop-nonce").is_some(), "the nonce for the next request");
    let token = response.json()["access_token"].as_str().expect("a token").to_owned();
    // The broker's own endpoints, too, and another instance knows the nonce.
    let url = format!("{BROKER}/admin/revocations");
    let refused = send(&broker, Request::get("/admin/revocations"), &token, &proof("GET", &url, &token).sign());
    assert_eq!(error(&refused), (401, "use_dpop_nonce".into()));
    let nonce = refused.header("dpop-nonce").expect("a nonce").to_owned();
    drop(broker);
    let broker = setup.start();
    let proven = proof("GET", &url, &token).claim("nonce", json!(nonce)).sign();
    let response = send(&broker, Request::get("/admin/revocations"), &token, &proven);
    assert_eq!(response.status, 200, "{}", response.text());
    // Requests without a proof need no nonce.
    assert_eq!(obtain(&broker, &issuer, WORKLOAD, API, "read").split('.').count(), 3);
}
