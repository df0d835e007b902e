//! The routes, and the log line of each request.

use crate::body::{forwarded_for, headers, read_form};
use crate::log::log;
use crate::ports::{self, Wasm};
use crate::respond::{self, Reply};
use crate::transparency::{self, Part};
use crate::{discard, own_tokens, protected, random, ready, status, views};
use spin_sdk::http::Request;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::log::Line;
use vouchsafe_exchange::ports::{Instance, Signer};
use vouchsafe_exchange::settings::Settings;
use vouchsafe_exchange::trace_context::TraceContext;
use vouchsafe_exchange::wire::{self, WireError};
use vouchsafe_exchange::{exchange, metadata};

pub async fn route(request: Request) -> Reply {
    // Without randomness there is no id, and the token endpoint refuses.
    let id = random::id().unwrap_or_default();
    // Routes on the path itself: a client can forge `spin-path-info`.
    let path = request.uri().path().to_owned();
    let reply = match path.as_str() {
        "/token" => token(request, &id).await,
        path => match (Route::of(path), protected::Route::of(path)) {
            (Some(route), _) => document(route, request, &id).await,
            (None, Some(route)) => protected::answer(route, request, &id).await,
            (None, None) => {
                discard::rest(request);
                log_and_refuse("other", "not_found", &WireError::not_found(), &id)
            }
        },
    };
    respond::identified(reply, &id)
}

async fn document(route: Route<'_>, request: Request, id: &str) -> Reply {
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        discard::rest(request);
        return log_and_refuse(route.name(), "method_not_allowed", &WireError::document_method(), id);
    }
    let ports = Wasm::new();
    let answer = route.answer(&ports, &request, id).await;
    let (reply, slug, detail, warnings) = match answer {
        Ok((reply, warnings)) => {
            let slug = match reply.status().as_u16() {
                404 => "not_found",
                503 => "log.pending",
                _ => "ok",
            };
            (reply, slug, String::new(), warnings)
        }
        Err(failure) => {
            let error = WireError::from(&failure.refusal);
            (respond::refused(&error, id, None), failure.refusal.slug(), failure.detail, Vec::new())
        }
    };
    let loading = ports.loading_us().map(|us| ("load", us));
    let timings: Vec<_> = loading.into_iter().collect();
    log(Line {
        time: ports::clock(),
        request_id: id,
        route: route.name(),
        status: reply.status().as_u16(),
        slug,
        detail: &detail,
        warnings: &warnings,
        response_bytes: respond::length(&reply),
        timings: &timings,
        ..Line::default()
    });
    reply
}

#[derive(Clone, Copy)]
enum Route<'a> {
    AuthorizationServer,
    Health,
    Jwks,
    Log(Part<'a>),
    OpenidConfiguration,
    Ready,
    Revocations,
    Status(Option<&'a str>),
    View(views::Document),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/log/") {
            return Part::of(rest).map(Self::Log);
        }
        if let Some(name) = path.strip_prefix("/status/") {
            return Some(Self::Status(Some(name)));
        }
        match path {
            "/.well-known/jwks.json" => Some(Self::Jwks),
            "/.well-known/oauth-authorization-server" => Some(Self::AuthorizationServer),
            "/.well-known/openid-configuration" => Some(Self::OpenidConfiguration),
            "/healthz" => Some(Self::Health),
            "/readyz" => Some(Self::Ready),
            "/revocations" => Some(Self::Revocations),
            "/status" => Some(Self::Status(None)),
            path => views::Document::of(path).map(Self::View),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AuthorizationServer => "oauth-authorization-server",
            Self::Health => "healthz",
            Self::Jwks => "jwks",
            Self::Log(part) => part.name(),
            Self::OpenidConfiguration => "openid-configuration",
            Self::Ready => "readyz",
            Self::Revocations => "revocations",
            Self::Status(None) => "status-lists",
            Self::Status(Some(_)) => "status-list",
            Self::View(document) => document.name(),
        }
    }

    /// The response, and the warnings to log.
    async fn answer(self, ports: &Wasm, request: &Request, id: &str) -> Result<(Reply, Vec<String>), Failure> {
        ports.warm().await;
        let known = request.headers().get("if-none-match");
        let document = |body: String, max_age: u64| {
            let etag = respond::etag(&body);
            respond::cacheable(body, etag, max_age, known)
        };
        let metadata = async |render: fn(&Settings) -> String| {
            let settings = ports.settings().await?;
            Ok::<_, Failure>(document(render(&settings), metadata::MAX_AGE_SECONDS))
        };
        let reply = match self {
            Self::Health => respond::json(200, "no-store", r#"{"status":"ok"}"#.to_owned()),
            Self::Ready => return ready::check(ports).await,
            Self::Jwks => {
                let keys = ports.public_keys().await?;
                document(keys.document, keys.max_age_seconds)
            }
            Self::Log(part) => part.answer(id).await?,
            Self::AuthorizationServer => metadata(metadata::authorization_server).await?,
            Self::OpenidConfiguration => metadata(metadata::openid_configuration).await?,
            Self::Revocations => {
                let published = own_tokens::published(ports).await?;
                respond::revocations(published.jwt(), known)
            }
            Self::Status(name) => status::answer(ports, name, known, id).await?,
            Self::View(view) => match view.answer(ports).await? {
                Some((body, max_age)) => document(body, max_age),
                None => respond::refused(&WireError::not_found(), id, None),
            },
        };
        Ok((reply, Vec::new()))
    }
}

async fn token(mut request: Request, id: &str) -> Reply {
    let forwarded_for = forwarded_for(&request);
    let proofs = headers(&request, "dpop");
    let authorization = headers(&request, "authorization");
    let traceparent = headers(&request, "traceparent");
    let body = match read_form(&mut request).await {
        Ok(body) => body,
        Err(refusal) => {
            discard::rest(request);
            return log_and_refuse("token", refusal.slug(), &WireError::from(&refusal), id);
        }
    };
    // ORDER: read the clock once the whole request has arrived. A body that trickles in for minutes must not be
    // checked against the time of its first byte.
    let ports = Wasm::new();
    let attempt = exchange(&ports, &body, &proofs, &authorization, &forwarded_for).await;
    let is_trusted = !traceparent.is_empty()
        && ports.settings().await.is_ok_and(|it| it.trusted_proxies.has_sent(&forwarded_for.peer));
    let trace = TraceContext::of(id, if is_trusted { &traceparent } else { &[] });
    if attempt.trace.decision_id.is_some() {
        transparency::integrate_later(ports.now(), ports.jitter());
    }
    let decision_id = attempt.trace.decision_id.as_deref();
    let (reply, slug, detail) = match &attempt.outcome {
        Ok(issued) => (respond::json(200, "no-store", wire::success(issued)), "issued", ""),
        Err(failure) => {
            let error = WireError::of_grant(&failure.refusal, attempt.trace.grant);
            (respond::refused(&error, id, decision_id), failure.refusal.slug(), failure.detail.as_str())
        }
    };
    let reply = respond::with_nonce(reply, ports.next_nonce(&proofs).await);
    log(Line {
        time: ports::clock(),
        request_id: id,
        trace: Some(&trace),
        route: "token",
        status: reply.status().as_u16(),
        slug,
        decision_id,
        issuer: attempt.trace.issuer.as_deref(),
        audience: attempt.trace.audience.as_deref(),
        bundle: ports::loaded_digest().as_deref(),
        determining_rules: &attempt.trace.determining_rules,
        erring_rules: &attempt.trace.erring_rules,
        detail,
        request_bytes: body.len(),
        response_bytes: respond::length(&reply),
        timings: &attempt.trace.steps,
        ..Line::default()
    });
    reply
}

fn log_and_refuse(route: &'static str, slug: &'static str, error: &WireError, id: &str) -> Reply {
    let reply = respond::refused(error, id, None);
    log(Line {
        time: ports::clock(),
        request_id: id,
        route,
        status: error.status,
        slug,
        response_bytes: respond::length(&reply),
        ..Line::default()
    });
    reply
}
