//! Replies of both listeners.

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use vouchsafe_gateway::Refusal;
use vouchsafe_serve::json_reply;

pub type Reply = Response<Full<Bytes>>;

/// Refuses a request whose method is not the one of its route.
pub fn wrong_method(allowed: &Method) -> Reply {
    let mut reply = json_reply(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"method_not_allowed"}"#);
    let allow = HeaderValue::from_str(allowed.as_str());
    reply.headers_mut().extend(allow.ok().map(|allow| (ALLOW, allow)));
    reply
}

/// Makes the reply to a refused request.
pub fn refusal_reply(refusal: Refusal, body: serde_json::Value) -> Reply {
    let status = StatusCode::from_u16(refusal.status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = json_reply(status, body.to_string());
    if let Some(seconds) = refusal.retry_after_seconds() {
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if refusal == Refusal::Credential {
        let challenge = HeaderValue::from_static("Bearer");
        reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    reply
}
