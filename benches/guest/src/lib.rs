//! Verifies a signature over and over, as the identity component does, and says how long each took.
//!
//! The body of a request has four lines: how often, a JWK, the message, the signature in base64url.
//! The answer is microseconds per verification.

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
        let body = request.into_body().collect().await;
        let text = body
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let answer = timed(&text).unwrap_or_else(|| "not verified".to_owned());
        let length = answer.len().to_string();
        Response::builder()
            .header("content-length", length)
            .body(answer)
    }

    fn timed(text: &str) -> Option<String> {
        let mut lines = text.lines();
        let times: u32 = lines.next()?.parse().ok()?;
        let jwk = JsonObject::parse(lines.next()?.as_bytes()).ok()?;
        let key = PublicKey::from_jwk(&jwk, KeyUse::Signature).ok()?;
        let message = lines.next()?.as_bytes();
        let signature = URL_SAFE_NO_PAD.decode(lines.next()?).ok()?;
        let start = Instant::now();
        for _ in 0..times {
            key.verify(message, &signature).ok()?;
        }
        let us = start.elapsed().as_secs_f64() * 1e6 / f64::from(times);
        Some(format!("{us:.1}"))
    }
}
