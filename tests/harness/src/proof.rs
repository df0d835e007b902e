//! Proofs of possession (RFC 9449 §4.2) in any shape.

use crate::bundle::BROKER;
use crate::jwt::{base64url, mint_raw};
use crate::keys::Key;
use crate::now;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// A proof to be signed.
pub struct Proof {
    pub key: Key,
    pub header: Value,
    pub claims: Value,
}

impl Proof {
    /// A valid proof by `key` for the token endpoint of [`BROKER`], made now. Each call gives another `jti`.
    pub fn by(key: Key) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let jti = format!("proof-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self {
            header: json!({ "typ": "dpop+jwt", "alg": key.alg(), "jwk": public(&key) }),
            claims: json!({ "jti": jti, "htm": "POST", "htu": format!("{BROKER}/token"), "iat": now() }),
            key,
        }
    }

    /// Sets a member of the header, or removes it if `value` is null.
    #[must_use]
    pub fn header(mut self, name: &str, value: Value) -> Self {
        set(&mut self.header, name, value);
        self
    }

    /// Sets a claim, or removes it if `value` is null.
    #[must_use]
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        set(&mut self.claims, name, value);
        self
    }

    /// The value of the `dpop` header.
    pub fn sign(&self) -> String {
        mint_raw(&self.key, self.header.to_string(), self.claims.to_string())
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    let members = object.as_object_mut().expect("an object");
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
}

/// The public key as the JWK of a proof.
pub fn public(key: &Key) -> Value {
    let mut jwk = key.jwk("");
    set(&mut jwk, "kid", Value::Null);
    jwk
}

/// The thumbprint of a public key (RFC 7638 §3).
pub fn thumbprint(jwk: &Value) -> String {
    let text = |name: &str| jwk[name].as_str().expect("a member");
    let canonical = match text("kty") {
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, text("crv"), text("x"), text("y")),
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, text("crv"), text("x")),
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e"), text("n")),
        other => panic!("unexpected key type {other}"),
    };
    base64url(digest(&SHA256, canonical.as_bytes()))
}
