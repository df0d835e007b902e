//! Routes of the admin listener. All but `/healthz` require an admin's credential; those of brokers are not accepted.

use super::peer::Peer;
use super::reply::{Reply, refusal_reply, wrong_method};
use super::routes::{bearer, read_body, refuse_stranger};
use crate::details::{self, RefusedRequest};
use crate::gateway::{Gateway, Requester};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use vouchsafe_gateway::Refusal;
use vouchsafe_gateway::admin::{LIST_PATH, OPERATION_PATH, OUTCOME_PATH, PROBE_PATH, ROTATE_PATH};
use vouchsafe_serve::json_reply;

/// Answers a request of an admin.
pub async fn answer(gateway: &Arc<Gateway>, peer: &Peer, request: Request<&mut Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    let method = match path.as_str() {
        "/healthz" | LIST_PATH => Method::GET,
        OPERATION_PATH | OUTCOME_PATH | PROBE_PATH | ROTATE_PATH => Method::POST,
        _ => return json_reply(StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#),
    };
    if request.method() != method {
        return wrong_method(&method);
    }
    if path == "/healthz" {
        return json_reply(StatusCode::OK, r#"{"status":"ok"}"#);
    }
    // ORDER: the credential is checked before the body is read.
    let presented = bearer(&request).ok_or(Refusal::Credential);
    let known = |it| gateway.admins().caller(it, peer.certificate.as_ref());
    let admin = match presented.and_then(known) {
        Ok(admin) => admin.to_owned(),
        Err(refusal) => return reply(refuse_stranger(gateway, peer, &path, refusal).await),
    };
    if path == LIST_PATH {
        return match to_json(&gateway.list()) {
            Ok(body) => json_reply(StatusCode::OK, body),
            Err(refusal) => refuse(gateway, &admin, &path, refusal.into()).await,
        };
    }
    let body = match read_body(request).await {
        Ok(body) => body,
        Err(refusal) => return refuse(gateway, &admin, &path, refusal.into()).await,
    };
    // An operation continues and is logged even if the admin disconnects.
    let gateway = Arc::clone(gateway);
    let done = tokio::spawn(async move {
        match v1(&gateway, &admin, &path, &body).await {
            Ok(body) => json_reply(StatusCode::OK, body),
            Err(refusal) => {
                let details = details::extract(&body);
                let why = RefusedRequest { refusal, details };
                refuse(&gateway, &admin, &path, why).await
            }
        }
    });
    done.await.unwrap_or_else(|_| {
        let refusal = Refusal::HsmUnavailable;
        refusal_reply(refusal, json!({ "error": refusal.slug() }))
    })
}

async fn v1(gateway: &Gateway, admin: &str, path: &str, body: &[u8]) -> Result<Bytes, Refusal> {
    match path {
        OPERATION_PATH => to_json(&gateway.operate(admin, &read(body)?).await?),
        PROBE_PATH => to_json(&gateway.probe(admin, &read(body)?).await?),
        ROTATE_PATH => to_json(&gateway.rotate(admin, &read(body)?).await?),
        _ => {
            gateway.record_probe_outcome(admin, &read(body)?).await?;
            Ok(Bytes::from_static(b"{}"))
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Request)
}

fn to_json(answer: &impl Serialize) -> Result<Bytes, Refusal> {
    let json = serde_json::to_vec(answer).map_err(|_| Refusal::HsmUnavailable)?;
    Ok(json.into())
}

async fn refuse(
    gateway: &Gateway,
    admin: &str,
    path: &str,
    RefusedRequest { refusal, details }: RefusedRequest,
) -> Reply {
    let requester = Requester::Admin(admin);
    gateway.record_refusal(requester, path, refusal, details).await;
    reply(refusal)
}

/// Makes the reply for an admin, which includes the reason as text.
fn reply(refusal: Refusal) -> Reply {
    // Admins may change every key, so there is nothing to hide from them.
    let detail = match refusal {
        Refusal::Key => "no [[key]] has this name".to_owned(),
        refusal => refusal.to_string(),
    };
    refusal_reply(refusal, json!({ "error": refusal.slug(), "detail": detail }))
}
