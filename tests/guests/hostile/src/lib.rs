//! A hostile guest in the broker's place that requests any signature.
//!
//! POST a JSON object with the members of `signing-request`; `issued_at_offset` is added to the guest's own clock. The
//! response contains the signer's answer, and that clock before and after.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "guests for tests may trap"
)]

#[cfg(target_arch = "wasm32")]
mod guest {
    use serde_json::{Value, json};
    use spin_sdk::http::body::IncomingBodyExt as _;
    use spin_sdk::http::{IntoResponse, Request, Response};
    use spin_sdk::http_service;
    use std::time::SystemTime;

    mod bindings {
        spin_sdk::wit_bindgen::generate!({
            path: ["../../../wit/deps/spin-variables@3.0.0", "../../../wit/types", "../../../wit/signer", "wit"],
            world: "vouchsafe:hostile-guest/hostile",
            runtime_path: "::spin_sdk::wit_bindgen::rt",
            with: { "vouchsafe:types/types@0.1.0": vouchsafe_types },
            generate_all,
        });
    }
    use bindings::vouchsafe::signer::signing;
    use vouchsafe_types::{ExtraClaim, SignerError, SigningRequest, Tier, TokenType};

    #[http_service]
    async fn handle(request: Request) -> impl IntoResponse {
        let answer = match request.uri().path() {
            "/sign" => {
                let body = request.into_body().bytes().await.unwrap_or_default();
                sign(&serde_json::from_slice(&body).unwrap_or_default()).await
            }
            "/jwks" => match signing::public_keys(0).await {
                Ok(keys) => serde_json::from_str(&keys.document).unwrap_or_default(),
                Err(error) => describe(&error),
            },
            _ => json!({}),
        };
        let text = answer.to_string();
        Response::builder().header("content-length", text.len().to_string()).body(text)
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    async fn sign(asked: &Value) -> Value {
        let before = now();
        let outcome = signing::sign_token(request(asked, before)).await;
        let after = now();
        let answer = match outcome {
            Ok(token) => {
                json!({ "jwt": token.jwt, "kid": token.kid, "expires_at": token.expires_at })
            }
            Err(error) => describe(&error),
        };
        json!({ "answer": answer, "before": before, "after": after })
    }

    fn describe(error: &SignerError) -> Value {
        match error {
            SignerError::Misconfigured(text) => json!({ "misconfigured": text }),
            SignerError::Superseded(_) => json!("superseded"),
            SignerError::TierUnavailable => json!("tier-unavailable"),
            SignerError::Refused(text) => json!({ "refused": text }),
            SignerError::Unavailable(_) => json!("unavailable"),
            SignerError::Internal => json!("internal"),
        }
    }

    fn request(asked: &Value, now: u64) -> SigningRequest {
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let list = |name: &str| asked[name].as_array().cloned().unwrap_or_default();
        SigningRequest {
            issuer: text("issuer"),
            view: None,
            actors: Vec::new(),
            txn: None,
            status: None,
            subject: text("subject"),
            audience: text("audience"),
            tier: if asked["tier"] == "hsm" { Tier::Hsm } else { Tier::Delegated },
            algorithm: text("algorithm"),
            token_type: if asked["token_type"] == "jwt" { TokenType::Jwt } else { TokenType::AccessToken },
            issued_at: now.saturating_add_signed(asked["issued_at_offset"].as_i64().unwrap_or_default()),
            lifetime_seconds: asked["lifetime_seconds"].as_u64().unwrap_or_default(),
            jti: text("jti"),
            scopes: list("scopes").iter().filter_map(|scope| scope.as_str().map(str::to_owned)).collect(),
            extra_claims: list("extra_claims")
                .iter()
                .map(|claim| ExtraClaim {
                    name: claim[0].as_str().unwrap_or_default().to_owned(),
                    value: claim[1].as_str().unwrap_or_default().to_owned(),
                })
                .collect(),
            key_thumbprint: asked["key_thumbprint"].as_str().map(str::to_owned),
            presented: None,
        }
    }
}
