//! What verifiers fetch: metadata and keys, with the headers that caches live by.

use crate::bench::Bench;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use vouchsafe_tests::bundle::BROKER;
use vouchsafe_tests::exchange::GRANT;
use vouchsafe_tests::http::{Request, Response};
use vouchsafe_tests::jwt::base64url;

const JWKS: &str = "/.well-known/jwks.json";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OIDC: &str = "/.well-known/openid-configuration";

/// RFC 7638 §3: the required members in their order.
fn thumbprint(jwk: &Value) -> String {
    let text = |name: &str| jwk[name].as_str().expect("a member");
    let canonical = match text("kty") {
        "EC" => format!(
            r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
            text("crv"),
            text("x"),
            text("y")
        ),
        "OKP" => format!(
            r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#,
            text("crv"),
            text("x")
        ),
        other => panic!("a key of type {other}"),
    };
    base64url(digest(&SHA256, canonical.as_bytes()))
}

#[test]
fn the_key_set_holds_public_keys_named_by_their_thumbprints() {
    let jwks = Bench::start().broker.jwks();
    let keys = jwks["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 8, "four epochs of two algorithms");
    for jwk in keys {
        let mut names: Vec<_> = jwk
            .as_object()
            .expect("a key")
            .keys()
            .map(String::as_str)
            .collect();
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
fn both_metadata_documents_name_the_issuer_and_its_endpoints() {
    let bench = Bench::start();
    for path in [OAUTH, OIDC] {
        let document = bench.broker.get(path).json();
        assert_eq!(document["issuer"], BROKER, "{path}");
        assert_eq!(document["token_endpoint"], format!("{BROKER}/token"));
        assert_eq!(document["jwks_uri"], format!("{BROKER}{JWKS}"));
        assert_eq!(document["grant_types_supported"], json!([GRANT]));
        // RFC 8414 §2 and OpenID Connect Discovery 1.0 §3 require it.
        assert!(
            document["response_types_supported"].is_array(),
            "{document}"
        );
    }
    let document = bench.broker.get(OIDC).json();
    assert_eq!(
        document["id_token_signing_alg_values_supported"],
        json!(["ES256", "EdDSA"])
    );
    assert_eq!(document["subject_types_supported"], json!(["public"]));
}

#[test]
fn documents_can_be_cached_and_asked_for_again() {
    let bench = Bench::start();
    for path in [JWKS, OAUTH, OIDC] {
        let first = bench.broker.get(path);
        let etag = first.header("etag").expect("an ETag").to_owned();
        assert_eq!(
            first.header("cache-control"),
            Some("public, max-age=300"),
            "{path}"
        );
        assert_eq!(first.header("content-type"), Some("application/json"));
        assert_eq!(bench.broker.get(path).header("etag"), Some(etag.as_str()));
        let ask = |known: &str| {
            bench
                .broker
                .send(&Request::get(path).with("if-none-match", known))
        };
        let unchanged = |response: Response| {
            let facts = (
                response.status,
                response.body.len(),
                response.header("etag").map(str::to_owned),
            );
            assert_eq!(facts, (304, 0, Some(etag.clone())), "{path}");
        };
        unchanged(ask(&etag));
        unchanged(ask(&format!("W/{etag}")));
        unchanged(ask(&format!("\"another\", {etag}")));
        unchanged(ask("*"));
        assert_eq!(ask("\"another\"").status, 200);
        assert_eq!(ask("").status, 200);
        let head = bench.broker.send(&Request {
            method: "HEAD".to_owned(),
            ..Request::get(path)
        });
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("etag"), Some(etag.as_str()));
    }
    bench.broker.assert_unharmed();
}
