//! The routes that take the broker's own tokens.

use crate::body::{forwarded_for, header, headers, peer, read, read_form};
use crate::discard;
use crate::log::log;
use crate::ports::{self, Wasm};
use crate::respond::{self, Reply};
use spin_sdk::http::Request;
use vouchsafe_exchange::log::Line;
use vouchsafe_revocation::operations::{self, Operation};
use vouchsafe_revocation::{
    Attempt, Credentials, FORWARD_AUTH_PATH, FORWARD_AUTH_QUERY_PATH, ForwardedRequest, Introspection, Refused,
    forward_auth, introspect, revoke_token,
};

#[derive(Clone, Copy)]
pub enum Route {
    ForwardAuth,
    Introspect,
    Lift,
    Revocations,
    Revoke,
}

impl Route {
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/admin/revocations" => Some(Self::Revocations),
            "/admin/revocations/lift" => Some(Self::Lift),
            "/introspect" => Some(Self::Introspect),
            "/revoke" => Some(Self::Revoke),
            FORWARD_AUTH_QUERY_PATH => Some(Self::ForwardAuth),
            path if path.starts_with(FORWARD_AUTH_PATH) => Some(Self::ForwardAuth),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::ForwardAuth => "forward-auth",
            Self::Introspect => "introspect",
            Self::Lift => "admin-lift",
            Self::Revocations => "admin-revocations",
            Self::Revoke => "revoke",
        }
    }

    /// Reads the body, or refuses the request by its head.
    async fn read(self, request: &mut Request) -> Result<Vec<u8>, Refused> {
        match self {
            // A proxy may repeat the client's method, and sends no body that matters.
            Self::ForwardAuth => return Ok(Vec::new()),
            Self::Introspect | Self::Revoke => return Ok(read_form(request).await?),
            Self::Revocations if request.method().as_str() == "GET" => return Ok(Vec::new()),
            Self::Lift => operations::check_head(request.method().as_str(), "POST", header(request, "content-type"))?,
            Self::Revocations => {
                operations::check_head(request.method().as_str(), "GET, POST", header(request, "content-type"))?;
            }
        }
        Ok(read(request).await?)
    }

    /// The size of the request, its outcome, and the nonce for the next proof.
    async fn attempt(self, request: &mut Request) -> (usize, Attempt, Option<String>) {
        let body = match self.read(request).await {
            Ok(body) => body,
            Err(refused) => return (0, Attempt::new(Err(refused), None), None),
        };
        let credentials =
            Credentials { authorization: headers(request, "authorization"), proofs: headers(request, "dpop") };
        // ORDER: read the clock once the whole request has arrived.
        let ports = Wasm::new();
        let attempt = match self {
            Self::ForwardAuth => {
                let target = request.uri().path_and_query().map_or("", |target| target.as_str());
                forward_auth(&ports, &credentials, &forwarded(request), target).await
            }
            Self::Introspect => {
                let (accept, forwarded_for) = (header(request, "accept"), &forwarded_for(request));
                introspect(&ports, &credentials, Introspection { body: &body, accept, forwarded_for }).await
            }
            Self::Lift => operations::perform(&ports, &credentials, Operation::Lift(&body)).await,
            Self::Revocations if request.method().as_str() == "GET" => {
                operations::perform(&ports, &credentials, Operation::List).await
            }
            Self::Revocations => operations::perform(&ports, &credentials, Operation::Revoke(&body)).await,
            Self::Revoke => revoke_token(&ports, &credentials, &body).await,
        };
        (body.len(), attempt, ports.next_nonce(&credentials.proofs).await)
    }
}

/// The client's request, as a proxy states it.
fn forwarded(request: &Request) -> ForwardedRequest {
    ForwardedRequest {
        peer: peer(request),
        method: headers(request, "x-forwarded-method"),
        scheme: headers(request, "x-forwarded-proto"),
        host: headers(request, "x-forwarded-host"),
        uri: headers(request, "x-forwarded-uri"),
    }
}

/// Answers a request, and logs it.
pub async fn answer(route: Route, mut request: Request, id: &str) -> Reply {
    let (request_bytes, attempt, nonce) = route.attempt(&mut request).await;
    discard::rest(request);
    let decision_id = attempt.decision_id.as_deref();
    let (reply, slug, detail) = match &attempt.outcome {
        Ok(body) => (respond::answered(attempt.media_type, body.clone()), "ok", ""),
        Err(refused) => {
            let reply = respond::refused(&refused.error, id, decision_id);
            let reply = match &refused.challenge {
                Some(challenge) => respond::challenged(reply, challenge),
                None => reply,
            };
            (reply, refused.slug, &*refused.detail)
        }
    };
    let reply = respond::with_nonce(reply, nonce);
    let client = attempt.client.as_ref();
    log(Line {
        time: ports::clock(),
        request_id: id,
        route: route.name(),
        status: reply.status().as_u16(),
        slug,
        decision_id,
        issuer: client.map(|client| client.issuer.as_str()),
        bundle: client.and(ports::loaded_digest()).as_deref(),
        determining_rules: client.map(|client| client.determining_rules.as_slice()).unwrap_or_default(),
        erring_rules: client.map(|client| client.erring_rules.as_slice()).unwrap_or_default(),
        detail,
        request_bytes,
        response_bytes: respond::length(&reply),
        ..Line::default()
    });
    reply
}
