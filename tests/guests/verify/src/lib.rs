//! Verifies signatures as the identity component does: in Wasm, or in the build `verify-host-crypto` in the host.
//!
//! `POST /time` measures one verification: the lines of the body are the number of repetitions, a JWK, the message,
//! and the signature in base64url; the response is in microseconds. `POST /vectors` verifies test vectors: a JWK,
//! then one line per vector with message and signature in base64url; the response is a line of `1` and `0`.

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
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use http_body_util::BodyExt;
    use spin_sdk::http::{IntoResponse, Request, Response};
    use spin_sdk::http_service;
    use std::time::Instant;
    use vouchsafe_jose::{JsonObject, KeyUse, PublicKey};

    #[http_service]
    async fn handle(request: Request) -> impl IntoResponse {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await;
        let text = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let answer = match path.as_str() {
            "/time" => timed(&text),
            "/vectors" => verdicts(&text),
            _ => None,
        };
        let answer = answer.unwrap_or_else(|| "not verified".to_owned());
        let length = answer.len().to_string();
        Response::builder().header("content-length", length).body(answer)
    }

    fn key(line: &str) -> Option<PublicKey> {
        let jwk = JsonObject::parse(line.as_bytes()).ok()?;
        PublicKey::from_jwk(&jwk, KeyUse::Signature, vouchsafe_guest::crypto()).ok()
    }

    fn timed(text: &str) -> Option<String> {
        let mut lines = text.lines();
        let times: u32 = lines.next()?.parse().ok()?;
        let key = key(lines.next()?)?;
        let message = lines.next()?.as_bytes();
        let signature = URL_SAFE_NO_PAD.decode(lines.next()?).ok()?;
        let start = Instant::now();
        for _ in 0..times {
            key.verify(message, &signature).ok()?;
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / f64::from(times);
        Some(format!("{us:.1}"))
    }

    fn verdicts(text: &str) -> Option<String> {
        let (jwk, vectors) = text.split_once('\n')?;
        let key = key(jwk)?;
        let verdict = |line: &str| {
            let (message, signature) = line.split_once(' ')?;
            let message = URL_SAFE_NO_PAD.decode(message).ok()?;
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            Some(if key.verify(&message, &signature).is_ok() { '1' } else { '0' })
        };
        vectors.lines().map(verdict).collect()
    }
}
