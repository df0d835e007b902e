//! Views: tokens and documents for one kind of relying party.

use serde_json::{Value, json};
use vouchsafe_harness::bundle::{API, BROKER, CLOUD};
use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::{Form, TYPE_ACCESS, Want, check};
use vouchsafe_harness::jwt::Issued;

const KEYS: &str = "/v/aws/.well-known/jwks.json";
const METADATA: &str = "/v/aws/.well-known/openid-configuration";

fn exchange(fixture: &Fixture, audience: &str) -> Value {
    let token = fixture.token();
    let request = Form::of(&token).set("audience", audience).request();
    check(&fixture.broker, &request, &token, Want::Issued).expect("issued").json()
}

fn issued(body: &Value) -> Issued {
    Issued::parse(body["access_token"].as_str().expect("a token"))
}

#[test]
fn token_verifies_by_the_documents_of_its_view() {
    let fixture = Fixture::start();
    let body = exchange(&fixture, CLOUD);
    assert_eq!((&body["issued_token_type"], &body["token_type"]), (&json!(TYPE_ACCESS), &json!("Bearer")));
    let token = issued(&body);
    assert_eq!((&token.header["alg"], &token.header["typ"]), (&json!("ES256"), &json!("JWT")));
    let iss = format!("{BROKER}/v/aws");
    assert_eq!((&token.claims["iss"], &token.claims["aud"]), (&json!(iss), &json!(CLOUD)));
    assert_eq!(
        fixture.broker.get(METADATA).json(),
        json!({
            "issuer": iss,
            "jwks_uri": format!("{BROKER}{KEYS}"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "cnf"],
        })
    );
    let keys = fixture.broker.get(KEYS).json();
    assert!(token.verifies(&keys));
    let algorithms: Vec<_> = keys["keys"].as_array().expect("keys").iter().map(|key| key["alg"].as_str()).collect();
    assert_eq!(algorithms, [Some("ES256"); 4], "four epochs");
    // Relying parties of the broker itself expect another issuer.
    assert_eq!(issued(&exchange(&fixture, API)).claims["iss"], BROKER);
}

#[test]
fn documents_are_cached_like_those_of_the_broker() {
    let fixture = Fixture::start();
    for path in [KEYS, METADATA] {
        let first = fixture.broker.get(path);
        assert_eq!((first.status, first.header("cache-control")), (200, Some("public, max-age=300")), "{path}");
        assert!(first.header("etag").is_some(), "{path}");
    }
    assert_eq!(fixture.broker.line("view-jwks")["slug"], "ok");
}

/// A view that no audience has does not exist, and paths are compared exactly.
#[test]
fn only_views_of_the_bundle_exist() {
    let fixture = Fixture::start();
    for path in [
        "/v/gcp/.well-known/jwks.json",
        "/v/gcp/.well-known/openid-configuration",
        "/v/other/.well-known/jwks.json",
        "/v/AWS/.well-known/jwks.json",
        "/V/aws/.well-known/jwks.json",
        "/v/aws",
        "/v/aws/",
        "/v/aws/.well-known/jwks.json/",
        "/v/aws//.well-known/jwks.json",
        "/v//aws/.well-known/jwks.json",
        "/v/aws%2f.well-known/jwks.json",
        "/v/aw%73/.well-known/jwks.json",
        "/v/gcp/../aws/.well-known/jwks.json",
        "/v/aws/.well-known/oauth-authorization-server",
        "/v/aws/token",
    ] {
        let response = fixture.broker.get(path);
        assert_eq!((response.status, &response.json()["error"]), (404, &json!("not_found")), "{path}");
    }
}

#[test]
fn token_of_a_view_is_not_exchanged() {
    let fixture = Fixture::start();
    let token = exchange(&fixture, CLOUD)["access_token"].as_str().expect("a token").to_owned();
    let response = fixture.broker.send(&Form::of(&token).request());
    assert_eq!((response.status, fixture.broker.line("token")["slug"].as_str()), (400, Some("token.issuer_untrusted")));
}
