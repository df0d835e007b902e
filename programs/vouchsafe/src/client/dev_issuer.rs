//! Minting of tokens at a running dev issuer.

use super::http::Http;
use serde_json::{Map, Value, json};
use vouchsafe_cli::Failure;

/// The body of `POST /mint`.
pub struct MintOptions<'a> {
    pub audience: &'a str,
    pub algorithm: &'a str,
    pub expires_in: Option<i64>,
    pub shape: &'a str,
    pub claims: Map<String, Value>,
}

/// Mints a token at the dev issuer with the URL `issuer`.
pub fn mint(http: &Http, issuer: &str, options: MintOptions) -> Result<String, Failure> {
    let url = format!("{}/mint", issuer.trim_end_matches('/'));
    let mut body = json!({
        "aud": options.audience, "alg": options.algorithm, "shape": options.shape, "claims": options.claims,
    });
    if let Some(seconds) = options.expires_in {
        body["expires_in"] = seconds.into();
    }
    let reply = http.post_json(&url, None, &body)?;
    let answer: Value = reply.json().unwrap_or_default();
    match answer["token"].as_str() {
        Some(token) if reply.is_success() => Ok(token.to_owned()),
        _ => {
            let reason = answer["error"].as_str().unwrap_or("no reason given");
            Err(Failure::refused(format!("the dev issuer refused (status {}): {reason}", reply.status)))
        }
    }
}
