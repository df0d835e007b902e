//! The routes, and the log line of each request.

use crate::discard;
use crate::ports::{self, Wasm};
use crate::respond::{self, Reply};
use http_body_util::BodyExt;
use spin_sdk::http::Request;
use vouchsafe_exchange::client_address::ForwardedFor;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::limits::BODY_BYTES_MAX;
use vouchsafe_exchange::log::Line;
use vouchsafe_exchange::ports::{Policy, Signer};
use vouchsafe_exchange::refusal::{Refusal, RequestFault};
use vouchsafe_exchange::request::Head;
use vouchsafe_exchange::settings::Settings;
use vouchsafe_exchange::wire::{self, WireError};
use vouchsafe_exchange::{exchange, metadata};

pub async fn route(request: Request) -> Reply {
    // Routes on the path itself: a client can forge `spin-path-info`.
    let path = request.uri().path().to_owned();
    if path == "/token" {
        return token(request).await;
    }
    let Some(route) = Route::of(&path) else {
        discard::rest(request);
        return log_and_reply(
            "other",
            "not_found",
            respond::json(404, "no-store", r#"{"error":"not_found"}"#.to_owned()),
            "",
        );
    };
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        discard::rest(request);
        let mut reply = respond::json(405, "no-store", r#"{"error":"method_not_allowed"}"#.to_owned());
        reply.headers_mut().insert("allow", spin_sdk::http::HeaderValue::from_static("GET, HEAD"));
        return log_and_reply(route.name(), "method_not_allowed", reply, "");
    }
    let ports = Wasm::new();
    let (reply, slug, detail) = match route.answer(&ports, &request).await {
        Ok(reply) => (reply, "ok", String::new()),
        Err(failure) => {
            let error = WireError::from(&failure.refusal);
            (respond::refused(&error, None), failure.refusal.slug(), failure.detail)
        }
    };
    let loading = ports.loading_us().map(|us| ("load", us));
    let timings: Vec<_> = loading.into_iter().collect();
    log(Line {
        route: route.name(),
        status: reply.status().as_u16(),
        slug,
        detail: &detail,
        response_bytes: respond::length(&reply),
        timings: &timings,
        ..Line::default()
    });
    reply
}

#[derive(Clone, Copy)]
enum Route {
    AuthorizationServer,
    Health,
    Jwks,
    OpenidConfiguration,
    Ready,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/.well-known/jwks.json" => Some(Self::Jwks),
            "/.well-known/oauth-authorization-server" => Some(Self::AuthorizationServer),
            "/.well-known/openid-configuration" => Some(Self::OpenidConfiguration),
            "/healthz" => Some(Self::Health),
            "/readyz" => Some(Self::Ready),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AuthorizationServer => "oauth-authorization-server",
            Self::Health => "healthz",
            Self::Jwks => "jwks",
            Self::OpenidConfiguration => "openid-configuration",
            Self::Ready => "readyz",
        }
    }

    async fn answer(self, ports: &Wasm, request: &Request) -> Result<Reply, Failure> {
        ports.warm().await;
        let known = request.headers().get("if-none-match");
        let document = |body: String, max_age: u64| {
            let etag = ports::etag(&body);
            Ok(respond::cacheable(body, etag, max_age, known))
        };
        match self {
            Self::Health => Ok(respond::json(200, "no-store", r#"{"status":"ok"}"#.to_owned())),
            Self::Ready => ready(ports).await,
            Self::Jwks => {
                let keys = ports.public_keys().await?;
                document(keys.document, keys.max_age_seconds)
            }
            Self::AuthorizationServer => serve_metadata(ports, metadata::authorization_server, document).await,
            Self::OpenidConfiguration => serve_metadata(ports, metadata::openid_configuration, document).await,
        }
    }
}

async fn serve_metadata(
    ports: &Wasm,
    render: fn(&Settings) -> String,
    document: impl Fn(String, u64) -> Result<Reply, Failure>,
) -> Result<Reply, Failure> {
    document(render(&ports.settings().await?), metadata::MAX_AGE_SECONDS)
}

/// Uses each component once, so that operators notice failures before callers do. Also creates the replay store, which
/// must be older than the tokens that it checks.
async fn ready(ports: &Wasm) -> Result<Reply, Failure> {
    let settings = ports.settings().await?;
    let bundle = ports.bundle(&settings).await?;
    // ORDER: keys first: fetching them updates what the signer knows about its backend.
    ports.public_keys().await?;
    let backend = ports.backend().await?;
    ports.store_ready().await?;
    let space = ports.store_space().await?;
    let mut body = serde_json::json!({
        "status": "ready",
        "issuer": settings.issuer,
        "bundle": { "name": bundle.name, "version": bundle.version, "digest": bundle.digest },
        "store": { "space": space },
    });
    if let (Some(backend), Some(members)) = (backend, body.as_object_mut()) {
        let backend = serde_json::json!({
            "generation": backend.generation,
            "seconds_left": backend.seconds_left,
        });
        members.insert("signer".to_owned(), backend);
    }
    if let (false, Some(members)) = (settings.warnings.is_empty(), body.as_object_mut()) {
        members.insert("warnings".to_owned(), settings.warnings.into());
    }
    Ok(respond::json(200, "no-store", body.to_string()))
}

async fn token(mut request: Request) -> Reply {
    let forwarded_for = forwarded_for(&request);
    let body = match read(&mut request).await {
        Ok(body) => body,
        Err(refusal) => {
            discard::rest(request);
            let reply = respond::refused(&WireError::from(&refusal), None);
            return log_and_reply("token", refusal.slug(), reply, "");
        }
    };
    // ORDER: read the clock once the whole request has arrived. A body that trickles in for minutes must not be
    // checked against the time of its first byte.
    let ports = Wasm::new();
    let attempt = exchange(&ports, &body, &forwarded_for).await;
    let decision_id = attempt.trace.decision_id.as_deref();
    let (reply, slug, detail) = match &attempt.outcome {
        Ok(issued) => (respond::json(200, "no-store", wire::success(issued)), "issued", ""),
        Err(failure) => {
            let error = WireError::from(&failure.refusal);
            (respond::refused(&error, decision_id), failure.refusal.slug(), failure.detail.as_str())
        }
    };
    log(Line {
        route: "token",
        status: reply.status().as_u16(),
        slug,
        decision_id,
        bundle: ports::loaded_digest().as_deref(),
        determining_rules: &attempt.trace.determining_rules,
        erring_rules: &attempt.trace.erring_rules,
        detail,
        request_bytes: body.len(),
        response_bytes: respond::length(&reply),
        timings: &attempt.trace.steps,
    });
    reply
}

/// The peer and the forwarding headers. A value that is not UTF-8 is kept as an unparsable address.
fn forwarded_for(request: &Request) -> ForwardedFor {
    let values = |name: &str| -> Vec<String> {
        let values = request.headers().get_all(name).iter();
        values.map(|value| value.to_str().unwrap_or("?").to_owned()).collect()
    };
    ForwardedFor {
        // Spin appends its own value after any that the client sent.
        peer: values("spin-client-addr").pop().unwrap_or_default(),
        forwarded: values("forwarded"),
        x_forwarded_for: values("x-forwarded-for"),
    }
}

/// Checks the head, then reads the body up to the limit.
async fn read(request: &mut Request) -> Result<Vec<u8>, Refusal> {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    Head { method: request.method().as_str(), query: request.uri().query(), content_type: header("content-type") }
        .check()?;
    if header("content-length").and_then(|text| text.parse::<usize>().ok()).is_some_and(|n| n > BODY_BYTES_MAX) {
        return Err(RequestFault::BodyTooLarge.into());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = request.body_mut().frame().await {
        let frame = frame.map_err(|_| RequestFault::Malformed)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len().saturating_add(data.len()) > BODY_BYTES_MAX {
            return Err(RequestFault::BodyTooLarge.into());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn log_and_reply(route: &'static str, slug: &'static str, reply: Reply, detail: &str) -> Reply {
    let (status, response_bytes) = (reply.status().as_u16(), respond::length(&reply));
    log(Line { route, status, slug, detail, response_bytes, ..Line::default() });
    reply
}

fn log(line: Line<'_>) {
    for line in ports::log_lines(&line) {
        println!("{line}");
    }
}
