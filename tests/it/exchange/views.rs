//! Views: tokens and documents for one kind of relying party.

use serde_json::{Value, json};
use vouchsafe_harness::bundle::{API, BROKER, CLOUD};
use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::{Form, TYPE_ACCESS, Want, check, refused};
use vouchsafe_harness::jwt::{self, Issued};

const KEYS: &str = "/v/gcp/.well-known/jwks.json";
const METADATA: &str = "/v/gcp/.well-known/openid-configuration";

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
    let iss = format!("{BROKER}/v/gcp");
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
        "/v/aws/.well-known/jwks.json",
        "/v/aws/.well-known/openid-configuration",
        "/v/other/.well-known/jwks.json",
        "/v/GCP/.well-known/jwks.json",
        "/V/gcp/.well-known/jwks.json",
        "/v/gcp",
        "/v/gcp/",
        "/v/gcp/.well-known/jwks.json/",
        "/v/gcp//.well-known/jwks.json",
        "/v//gcp/.well-known/jwks.json",
        "/v/gcp%2f.well-known/jwks.json",
        "/v/gc%70/.well-known/jwks.json",
        "/v/aws/../gcp/.well-known/jwks.json",
        "/v/gcp/.well-known/oauth-authorization-server",
        "/v/gcp/token",
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

const TOO_LONG: Want = refused(400, "invalid_target", "subject.too_long");

/// Google takes 127 bytes.
#[test]
fn subject_is_as_long_as_the_view_takes() {
    let fixture = Fixture::start();
    for (length, want) in [(127, Want::Issued), (128, TOO_LONG)] {
        let mut claims = fixture.claims();
        claims["sub"] = "x".repeat(length - "main:".len()).into();
        let token = jwt::mint("RS256", &claims);
        let request = Form::of(&token).set("audience", CLOUD).request();
        check(&fixture.broker, &request, &token, want).expect("as expected");
    }
}

/// For `repository/error_slugs.rs`.
pub fn wants() -> [Want; 1] {
    [TOO_LONG]
}
