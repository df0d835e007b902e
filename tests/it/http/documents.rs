//! What verifiers fetch: metadata and key set, with their caching headers.

use serde_json::{Value, json};
use vouchsafe_harness::bundle::BROKER;
use vouchsafe_harness::cases::Fixture;
use vouchsafe_harness::exchange::{GRANT, GRANT_JWT_BEARER, TYPE_JWT};
use vouchsafe_harness::http::{Request, Response};
use vouchsafe_harness::proof::thumbprint;

const JWKS: &str = "/.well-known/jwks.json";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OIDC: &str = "/.well-known/openid-configuration";

#[test]
fn names_public_keys_by_thumbprint() {
    let jwks = Fixture::start().broker.jwks();
    let keys = jwks["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 8, "four epochs of two algorithms");
    for jwk in keys {
        let mut names: Vec<_> = jwk.as_object().expect("a key").keys().map(String::as_str).collect();
        names.sort_unstable();
        let (expected, alg) = match jwk["kty"].as_str() {
            Some("EC") => (&["alg", "crv", "kid", "kty", "use", "x", "y"][..], "ES256"),
            _ => (&["alg", "crv", "kid", "kty", "use", "x"][..], "EdDSA"),
        };
        assert_eq!(names, expected);
        assert_eq!((&jwk["alg"], &jwk["use"]), (&json!(alg), &json!("sig")));
        assert_eq!(jwk["kid"], thumbprint(jwk).as_str());
    }
}

#[test]
fn names_issuer_and_endpoints_in_metadata() {
    let fixture = Fixture::start();
    for path in [OAUTH, OIDC] {
        let document = fixture.broker.get(path).json();
        assert_eq!(document["issuer"], BROKER, "{path}");
        assert_eq!(document["token_endpoint"], format!("{BROKER}/token"));
        assert_eq!(document["jwks_uri"], format!("{BROKER}{JWKS}"));
        assert_eq!(document["grant_types_supported"], json!([GRANT, GRANT_JWT_BEARER]));
        assert_eq!(document["identity_chaining_requested_token_types_supported"], json!([TYPE_JWT]));
        // RFC 8414 §2 and OpenID Connect Discovery 1.0 §3 require it.
        assert!(document["response_types_supported"].is_array(), "{document}");
    }
    let document = fixture.broker.get(OIDC).json();
    assert_eq!(document["id_token_signing_alg_values_supported"], json!(["ES256", "EdDSA"]));
    assert_eq!(document["subject_types_supported"], json!(["public"]));
}

#[test]
fn supports_caching_and_conditional_requests() {
    let fixture = Fixture::start();
    for path in [JWKS, OAUTH, OIDC] {
        let first = fixture.broker.get(path);
        let etag = first.header("etag").expect("an ETag").to_owned();
        assert_eq!(first.header("cache-control"), Some("public, max-age=300"), "{path}");
        assert_eq!(first.header("content-type"), Some("application/json"));
        assert_eq!(fixture.broker.get(path).header("etag"), Some(etag.as_str()));
        let ask = |known: &str| fixture.broker.send(&Request::get(path).with("if-none-match", known));
        let unchanged = |response: Response| {
            let facts = (response.status, response.body.len(), response.header("etag").map(str::to_owned));
            assert_eq!(facts, (304, 0, Some(etag.clone())), "{path}");
        };
        unchanged(ask(&etag));
        unchanged(ask(&format!("W/{etag}")));
        unchanged(ask(&format!("\"another\", {etag}")));
        unchanged(ask("*"));
        assert_eq!(ask("\"another\"").status, 200);
        assert_eq!(ask("").status, 200);
        let head = fixture.broker.send(&Request { method: "HEAD".to_owned(), ..Request::get(path) });
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("etag"), Some(etag.as_str()));
    }
    fixture.broker.assert_healthy();
}

/// Checks RFC 8414 §2 and OpenID Connect Discovery 1.0 §3 with none of this project's code.
#[test]
fn conforms_to_rfc_8414_section_2() {
    let fixture = Fixture::start();
    let documents = [OAUTH, OIDC].map(|path| fixture.broker.get(path).json());
    for document in &documents {
        let members = document.as_object().expect("an object");
        for (name, value) in members {
            assert!(!value.is_null(), "{name} is null");
            if name == "issuer" || name.ends_with("_uri") || name.ends_with("_endpoint") {
                let url = value.as_str().expect("a URL");
                // The tests run this broker on loopback.
                assert!(url.starts_with(BROKER), "{name}: {url}");
                assert!(!url.contains(['?', '#']), "{name}: {url}");
            }
            if name.ends_with("_supported") {
                let values = value.as_array().expect("an array");
                assert!(values.iter().all(Value::is_string), "{name} is not a list of strings: {value}");
                // RFC 8414 §3.2: "claims with zero elements MUST be omitted"; the response types are required even
                // without an authorization endpoint.
                assert!(!values.is_empty() || name == "response_types_supported", "{name} is empty");
            }
        }
        for name in ["issuer", "token_endpoint", "jwks_uri"] {
            assert!(members.contains_key(name), "{name} is missing");
        }
        let algorithms = &document["id_token_signing_alg_values_supported"];
        assert!(!algorithms.to_string().contains("none"), "{algorithms}");
    }
    let [oauth, oidc] = &documents;
    for (name, value) in oauth.as_object().expect("an object") {
        assert_eq!(Some(value), oidc.get(name), "{name} differs between the documents");
    }
}

/// Tokens are for servers and jobs: no web page of another origin may read the broker's responses.
#[test]
fn sends_no_cors_headers() {
    let fixture = Fixture::start();
    let mut answers = Vec::new();
    for path in [JWKS, OAUTH, OIDC, "/healthz", "/readyz", "/token", "/none"] {
        for method in ["GET", "OPTIONS", "TRACE", "POST"] {
            let request = Request { method: method.to_owned(), ..Request::get(path) }
                .with("origin", "https://other.example")
                .with("access-control-request-method", "POST");
            answers.push((method, path, fixture.broker.send(&request)));
        }
    }
    for (method, path, response) in &answers {
        for name in [
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "access-control-allow-methods",
            "access-control-allow-headers",
        ] {
            assert_eq!(response.header(name), None, "{method} {path}");
        }
        if matches!(*method, "OPTIONS" | "TRACE") && *path != "/none" {
            assert_eq!(response.status, 405, "{method} {path}");
        }
    }
    fixture.broker.assert_healthy();
}
