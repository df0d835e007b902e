//! Responses. JSON ends with a line feed, for terminals. Always sets `content-length`: without it, Spin sends chunks, and the second write waits for the client's
//! delayed acknowledgement.

use bytes::Bytes;
use http_body_util::Full;
use sha2::{Digest, Sha256};
use spin_sdk::http::{HeaderValue, Response, StatusCode};
use vouchsafe_exchange::keys::hex;
use vouchsafe_exchange::wire::WireError;

/// How long caches may keep the list of what is revoked, in seconds.
const REVOCATIONS_MAX_AGE_SECONDS: u64 = 1;

pub type Reply = Response<Full<Bytes>>;

/// A JSON response with `cache-control`.
pub fn json(status: u16, cache_control: &'static str, mut body: String) -> Reply {
    body.push('\n');
    of_type("application/json", status, cache_control, body)
}

/// A response that no cache keeps. Only JSON ends with a line feed.
pub fn answered(media_type: &'static str, body: String) -> Reply {
    match media_type {
        "application/json" => json(200, "no-store", body),
        media_type => of_type(media_type, 200, "no-store", body),
    }
}

fn of_type(content_type: &'static str, status: u16, cache_control: &'static str, body: String) -> Reply {
    let length = HeaderValue::from(body.len());
    let mut reply = Reply::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = reply.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    headers.insert("content-length", length);
    headers.insert("cache-control", HeaderValue::from_static(cache_control));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    reply
}

/// A response of another type than JSON.
pub fn text(cache_control: &'static str, content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = json(200, cache_control, String::new());
    let headers = reply.headers_mut();
    headers.insert("content-length", HeaderValue::from(body.len()));
    headers.insert("content-type", HeaderValue::from_static(content_type));
    *reply.body_mut() = Full::new(body);
    reply
}

/// A refusal.
pub fn refused(error: &WireError, request_id: &str, decision_id: Option<&str>) -> Reply {
    let mut reply = json(error.status, "no-store", error.body(request_id, decision_id));
    if let Some(seconds) = error.retry_after_seconds {
        reply.headers_mut().insert("retry-after", HeaderValue::from(seconds));
    }
    if let Some(methods) = error.allow {
        reply.headers_mut().insert("allow", HeaderValue::from_static(methods));
    }
    match error.challenge() {
        Some(challenge) => challenged(reply, challenge),
        None => reply,
    }
}

/// A refusal that says how to authenticate (RFC 6750 §3).
pub fn challenged(mut reply: Reply, challenge: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(challenge) {
        reply.headers_mut().insert("www-authenticate", value);
    }
    reply
}

/// The response with the nonce for the client's next proof (RFC 9449 §8).
pub fn with_nonce(mut reply: Reply, nonce: Option<String>) -> Reply {
    if let Some(value) = nonce.and_then(|nonce| HeaderValue::from_str(&nonce).ok()) {
        reply.headers_mut().insert("dpop-nonce", value);
    }
    reply
}

/// The response with the id of its request. A copy from a cache has the id of the request that filled it.
pub fn identified(mut reply: Reply, request_id: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        reply.headers_mut().insert("x-request-id", value);
    }
    reply
}

/// The signed list of what is revoked (RFC 7519 §10.3.1).
pub fn revocations(jwt: &str, known: Option<&HeaderValue>) -> Reply {
    let reply = of_type("application/jwt", 200, "", jwt.to_owned());
    unless_known(reply, etag(jwt), REVOCATIONS_MAX_AGE_SECONDS, known)
}

/// A status list token (draft-ietf-oauth-status-list §8.2).
pub fn status_list(jwt: &str, known: Option<&HeaderValue>) -> Reply {
    let reply = of_type("application/statuslist+jwt", 200, "", jwt.to_owned());
    unless_known(reply, etag(jwt), REVOCATIONS_MAX_AGE_SECONDS, known)
}

/// The response for pages of any origin: it is public.
pub fn any_origin(mut reply: Reply) -> Reply {
    reply.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("*"));
    reply
}

/// A public, cacheable JSON response with an ETag; 304 if the client has the current version.
pub fn cacheable(body: String, etag: String, max_age_seconds: u64, known: Option<&HeaderValue>) -> Reply {
    unless_known(json(200, "", body), etag, max_age_seconds, known)
}

fn unless_known(mut reply: Reply, etag: String, max_age_seconds: u64, known: Option<&HeaderValue>) -> Reply {
    let unchanged = known.and_then(|value| value.to_str().ok()).is_some_and(|list| {
        list.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
    });
    if unchanged {
        *reply.body_mut() = Full::default();
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply.headers_mut().remove("content-type");
        reply.headers_mut().remove("content-length");
    }
    let headers = reply.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age_seconds}")) {
        headers.insert("cache-control", value);
    }
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert("etag", value);
    }
    reply
}

/// A strong ETag for `body`.
pub fn etag(body: &str) -> String {
    let digest = hex(&Sha256::digest(body.as_bytes()));
    format!("\"{}\"", digest.get(..32).unwrap_or(&digest))
}

/// Size of the body in bytes.
pub fn length(reply: &Reply) -> usize {
    let text = reply.headers().get("content-length").and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
