//! Compact JWS in any shape, and the claims of a valid subject token.

use crate::keys::{self, Key};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Signs exactly this header and payload.
pub fn mint_raw(key: &Key, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let input = format!("{}.{}", base64url(header), base64url(payload));
    let signature = base64url(key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

/// A token signed with the issuers' key for `alg`, as an issuer would write it.
pub fn mint(alg: &str, claims: &Value) -> String {
    let header = json!({ "alg": alg, "kid": alg, "typ": "JWT" });
    mint_raw(&Key::issuer(alg), header.to_string(), claims.to_string())
}

/// Claims like those of a GitHub Actions token, which every broker of these tests accepts at `now`. Each call
/// gives another `jti`.
pub fn claims(iss: &str, aud: &str, now: u64) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let jti = format!("jti-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    json!({
        "iss": iss, "aud": aud, "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "jti": jti,
        "iat": now, "nbf": now, "exp": now + 300,
        "repository": "octo-org/octo-repo", "repository_id": "123456",
        "repository_owner": "octo-org", "repository_owner_id": "654321",
        "ref": "refs/heads/main", "event_name": "push", "workflow": "deploy",
        "run_id": "1", "actor": "octocat", "actor_id": "583231",
    })
}

/// An issued token, decoded.
#[derive(Debug, Clone)]
pub struct Issued {
    pub jwt: String,
    pub header: Value,
    pub claims: Value,
}

impl Issued {
    pub fn parse(jwt: &str) -> Self {
        let parts: Vec<_> = jwt.split('.').collect();
        assert_eq!(parts.len(), 3, "an issued token has three parts");
        let part = |index: usize| {
            let bytes = from_base64url(parts[index]).expect("base64url");
            serde_json::from_slice(&bytes).expect("JSON")
        };
        Self { jwt: jwt.to_owned(), header: part(0), claims: part(1) }
    }

    pub fn kid(&self) -> String {
        self.header["kid"].as_str().expect("a kid").to_owned()
    }

    pub fn number(&self, claim: &str) -> u64 {
        self.claims[claim].as_u64().unwrap_or_else(|| panic!("no {claim}"))
    }

    pub fn verifies(&self, jwks: &Value) -> bool {
        let (input, signature) = self.jwt.rsplit_once('.').expect("a signature");
        keys::verifies(jwks, &self.kid(), input, &from_base64url(signature).expect("base64url"))
    }
}

/// The order of P-256.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same ES256 token with the other valid form of its signature: (r, n − s).
pub fn second_signature(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').expect("a signature");
    let mut signature = from_base64url(signature).expect("base64url");
    let mut borrow = 0;
    for (byte, order) in signature[32..].iter_mut().zip(P256_ORDER).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
    format!("{input}.{}", base64url(signature))
}
