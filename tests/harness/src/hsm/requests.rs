//! Requests that brokers send to gateways.

use super::{Gateway, KEY};
use crate::bundle::{BROKER, EPOCH_SECONDS, HSM_EDDSA, HSM_ES256};
use crate::jwt::base64url;
use crate::now;
use serde_json::{Value, json};

pub fn epoch_at(now: u64) -> u64 {
    now / EPOCH_SECONDS * EPOCH_SECONDS
}

pub fn seed_request(epoch_start: u64) -> Value {
    json!({ "group": "default", "generation": 1, "algorithm": "ES256", "epoch_start": epoch_start })
}

/// Repeats the request if the second changed meanwhile, so that both sides of a limit are exact.
pub fn ask_at(gateway: &Gateway, path: &str, body: impl Fn(u64) -> Value) -> (u16, Value) {
    loop {
        let second = now();
        let response = gateway.ask(path, Some(&body(second)));
        if now() == second {
            return (response.status, response.json());
        }
    }
}

/// Claims that the key `es256` may sign.
pub fn token_claims(now: u64) -> Value {
    json!({
        "iss": BROKER, "sub": "main:repo", "aud": HSM_ES256, "exp": now + 300, "iat": now, "nbf": now - 5,
        "jti": "AAECAwQFBgcICQoLDA0ODw", "client_id": "main:repo",
    })
}

fn kid(gateway: &Gateway, name: &str) -> String {
    let keys = gateway.ask("/v1/keys", None).json();
    let keys = keys["groups"][0]["token_keys"].as_array().expect("keys").clone();
    let key = keys.iter().find(|key| key["name"] == name).expect("the key");
    key["jwk"]["kid"].as_str().expect("a kid").to_owned()
}

pub fn sign_text(gateway: &Gateway, key: &str, payload: &str) -> (u16, Value, String) {
    let header = json!({ "alg": "ES256", "kid": kid(gateway, "es256"), "typ": "at+jwt" });
    let input = format!("{}.{}", base64url(header.to_string()), base64url(payload));
    let response = gateway.ask("/v1/sign-token", Some(&json!({ "key": key, "signing_input": input })));
    (response.status, response.json(), input)
}

pub fn sign(gateway: &Gateway, key: &str, claims: &Value) -> (u16, Value) {
    let (status, answer, _) = sign_text(gateway, key, &claims.to_string());
    (status, answer)
}

/// The `kid` of the version that signs outside the canary's share, if any.
pub fn kid_that_signs(gateway: &Gateway, name: &str) -> Option<String> {
    let keys = gateway.ask("/v1/keys", None).json();
    let keys = keys["groups"][0]["token_keys"].as_array().expect("keys").clone();
    let signs = |key: &&Value| key["name"] == name && key["signs"] == true;
    let key = keys.iter().find(signs)?;
    Some(key["jwk"]["kid"].as_str().expect("a kid").to_owned())
}

/// Requests a signature; returns the status and the error, if any.
pub fn sign_with(gateway: &Gateway, key: &str, kid: &str, now: u64) -> (u16, Value) {
    let (alg, audience) = match key {
        KEY => ("ES256", HSM_ES256),
        _ => ("EdDSA", HSM_EDDSA),
    };
    let header = json!({ "alg": alg, "kid": kid, "typ": "at+jwt" });
    let mut claims = token_claims(now);
    claims["aud"] = audience.into();
    let input = [header, claims].map(|part| base64url(part.to_string())).join(".");
    let body = json!({ "key": key, "signing_input": input });
    let response = gateway.ask("/v1/sign-token", Some(&body));
    (response.status, response.json()["error"].clone())
}

/// A request for a token that the key `es256` may sign now.
pub fn es256_request(gateway: &Gateway) -> Value {
    let kid = gateway.ask("/v1/keys", None).json()["groups"][0]["token_keys"][2]["jwk"]["kid"].clone();
    let now = now();
    let header = json!({ "alg": "ES256", "kid": kid, "typ": "JWT" });
    let claims = json!({
        "iss": BROKER, "sub": "a", "aud": HSM_ES256, "exp": now + 60, "iat": now, "nbf": now - 5, "jti": "a",
        "client_id": "a",
    });
    let input = [header, claims].map(|part| base64url(part.to_string())).join(".");
    json!({ "key": "es256", "signing_input": input })
}
