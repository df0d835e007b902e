//! Routes of the admin listener. All but `/healthz` need an admin's credential; a broker's is unknown here.

use super::about::{Refused, about};
use super::routes::{bearer, body, refusal_reply, unknown, wrong_method};
use super::{Peer, Reply};
use crate::gateway::{Gateway, Who};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use vouchsafe_gateway::Refusal;
use vouchsafe_gateway::admin::{ACT_PATH, LIST_PATH, OUTCOME_PATH, PROBE_PATH, ROTATE_PATH};
use vouchsafe_serve::json_reply;

pub async fn answer(gateway: &Arc<Gateway>, peer: &Peer, request: Request<&mut Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    let wanted = match path.as_str() {
        "/healthz" | LIST_PATH => Method::GET,
        ACT_PATH | OUTCOME_PATH | PROBE_PATH | ROTATE_PATH => Method::POST,
        _ => return json_reply(StatusCode::NOT_FOUND, r#"{"error":"not_found"}"#),
    };
    if request.method() != wanted {
        return wrong_method(&wanted);
    }
    if path == "/healthz" {
        return json_reply(StatusCode::OK, r#"{"status":"ok"}"#);
    }
    // ORDER: the credential before a byte of the body.
    let presented = bearer(&request).ok_or(Refusal::Credential);
    let known = |it| gateway.admins().caller(it, peer.certificate.as_ref());
    let admin = match presented.and_then(known) {
        Ok(admin) => admin.to_owned(),
        Err(refusal) => return reply(unknown(gateway, peer, &path, refusal).await),
    };
    if path == LIST_PATH {
        return match written(&gateway.list()) {
            Ok(body) => json_reply(StatusCode::OK, body),
            Err(refusal) => refused(gateway, &admin, &path, refusal.into()).await,
        };
    }
    let body = match body(request).await {
        Ok(body) => body,
        Err(refusal) => return refused(gateway, &admin, &path, refusal.into()).await,
    };
    // What an admin began goes on to its end, and onto the log, though the admin has left.
    let gateway = Arc::clone(gateway);
    let done = tokio::spawn(async move {
        match v1(&gateway, &admin, &path, &body).await {
            Ok(body) => json_reply(StatusCode::OK, body),
            Err(refusal) => {
                let about = about(&body);
                refused(&gateway, &admin, &path, Refused { refusal, about }).await
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
        ACT_PATH => written(&gateway.act(admin, &read(body)?).await?),
        PROBE_PATH => written(&gateway.probe(admin, &read(body)?).await?),
        ROTATE_PATH => written(&gateway.rotate(admin, &read(body)?).await?),
        _ => {
            gateway.probe_outcome(admin, &read(body)?).await?;
            Ok(Bytes::from_static(b"{}"))
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|_| Refusal::Request)
}

fn written(answer: &impl Serialize) -> Result<Bytes, Refusal> {
    let json = serde_json::to_vec(answer).map_err(|_| Refusal::HsmUnavailable)?;
    Ok(json.into())
}

async fn refused(
    gateway: &Gateway,
    admin: &str,
    path: &str,
    Refused { refusal, about }: Refused,
) -> Reply {
    let who = Who::Admin(admin);
    gateway.refused(who, path, refusal, about).await;
    reply(refusal)
}

/// An admin is told why, in words too.
fn reply(refusal: Refusal) -> Reply {
    // There is nothing to hide from who may change every key.
    let detail = match refusal {
        Refusal::Key => "there is no [[key]] of this name".to_owned(),
        refusal => refusal.to_string(),
    };
    refusal_reply(
        refusal,
        json!({ "error": refusal.slug(), "detail": detail }),
    )
}
