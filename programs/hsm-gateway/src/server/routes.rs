//! Routes of the brokers' listener. Everything below `/v1/` requires a credential; `/healthz` and `/readyz` reveal
//! nothing secret.

use super::peer::Peer;
use super::reply::{Reply, refusal_reply, wrong_method};
use crate::details::{self, Details, RefusedRequest};
use crate::gateway::{Gateway, Requester};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use vouchsafe_gateway::wire::{KEYS_PATH, REQUEST_BYTES_MAX, SEED_PATH, SIGN_PATH, SeedRequest, SignRequest};
use vouchsafe_gateway::{Caller, Refusal};
use vouchsafe_serve::json_reply;

/// Longest time that a client may take to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request of a broker.
pub async fn answer(gateway: &Arc<Gateway>, peer: &Peer, request: Request<&mut Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    let method = match path.as_str() {
        "/healthz" | "/readyz" | KEYS_PATH => Method::GET,
        SEED_PATH | SIGN_PATH => Method::POST,
        _ => return json_reply(StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#),
    };
    if request.method() != method {
        return wrong_method(&method);
    }
    match path.as_str() {
        "/healthz" => json_reply(StatusCode::OK, r#"{"status":"ok"}"#),
        "/readyz" => ready(gateway),
        _ => {
            // ORDER: the credential is checked before the body is read.
            let presented = bearer(&request).ok_or(Refusal::Credential);
            let known = |it| gateway.rules().caller(it, peer.certificate.as_ref());
            let caller = match presented.and_then(known) {
                Ok(caller) => caller,
                Err(refusal) => {
                    let refusal = refuse_stranger(gateway, peer, &path, refusal).await;
                    return refusal_reply(refusal, json!({ "error": refusal.slug() }));
                }
            };
            match v1(gateway, caller, &path, request).await {
                Ok(body) => json_reply(StatusCode::OK, body),
                Err(why) => refuse(gateway, caller, &path, why).await,
            }
        }
    }
}

async fn v1(
    gateway: &Arc<Gateway>,
    caller: Caller<'_>,
    path: &str,
    request: Request<&mut Incoming>,
) -> Result<Bytes, RefusedRequest> {
    if path == KEYS_PATH {
        return Ok(gateway.keys(caller)?.to_json().into());
    }
    let body = read_body(request).await?;
    let answer = match path {
        SEED_PATH => seed(gateway, caller, &body).await,
        _ => sign(gateway, caller, &body).await,
    };
    answer.map_err(|refusal| RefusedRequest { refusal, details: details::extract(&body) })
}

async fn seed(gateway: &Arc<Gateway>, caller: Caller<'_>, body: &[u8]) -> Result<Bytes, Refusal> {
    let request = SeedRequest::parse(body).map_err(|_| Refusal::Request)?;
    let answer = gateway.seed(caller, &request).await?;
    // Wiped after it was sent.
    Ok(Bytes::from_owner(answer))
}

async fn sign(gateway: &Gateway, caller: Caller<'_>, body: &[u8]) -> Result<Bytes, Refusal> {
    let request = SignRequest::parse(body).map_err(|_| Refusal::Request)?;
    Ok(gateway.sign(caller, request).await?.to_json().into())
}

/// The one bearer credential of a request (RFC 6750 §2.1).
pub fn bearer<'r>(request: &'r Request<&mut Incoming>) -> Option<&'r str> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    value.to_str().ok()?.strip_prefix("Bearer ")
}

/// Reads the body of a request within its limits.
pub async fn read_body(request: Request<&mut Incoming>) -> Result<Bytes, Refusal> {
    let reading = Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect();
    let read = tokio::time::timeout(BODY_TIMEOUT, reading).await;
    let body = read.map_err(|_| Refusal::Request)?.map_err(|_| Refusal::Request)?;
    Ok(body.to_bytes())
}

fn ready(gateway: &Gateway) -> Reply {
    let readiness = gateway.readiness();
    let (status, word) = match readiness.problem() {
        None => (StatusCode::OK, "ready"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let mut body = json!({
        "status": word,
        "generation": readiness.generation,
        "hsm": if readiness.hsm_is_up { "up" } else { "down" },
        "seeds_until": readiness.seeds_until,
        "seconds_left": readiness.seconds_left,
        "log": if readiness.log_fails { "failing" } else { "ok" },
        "clock": if readiness.step_seconds.is_some() { "set" } else { "believed" },
        "clock_set_by_seconds": readiness.step_seconds.unwrap_or(0),
    });
    if let (Some(problem), Some(members)) = (readiness.problem(), body.as_object_mut()) {
        members.insert("wanting".to_owned(), problem.into());
    }
    json_reply(status, body.to_string())
}

async fn refuse(
    gateway: &Gateway,
    caller: Caller<'_>,
    path: &str,
    RefusedRequest { refusal, details }: RefusedRequest,
) -> Reply {
    let requester = Requester::Caller(caller.name());
    gateway.record_refusal(requester, path, refusal, details).await;
    refusal_reply(refusal, json!({ "error": refusal.slug() }))
}

/// Logs a request without a valid credential. Returns the refusal for the client, which does not reveal what is wrong
/// with the credential.
pub async fn refuse_stranger(gateway: &Gateway, peer: &Peer, path: &str, refusal: Refusal) -> Refusal {
    let requester = Requester::Stranger(peer.address);
    gateway.record_refusal(requester, path, refusal, Details::new()).await;
    Refusal::Credential
}
