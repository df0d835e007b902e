//! The dev issuer's HTTP server.
//!
//! A web page in the developer's browser can send requests to loopback too. It can't forge `Host`, which is checked
//! against DNS rebinding, and `Origin`, whose presence is refused.

use super::claims::{GITHUB_AUDIENCE_DEFAULT, MintRequest};
use super::key_file::KeyFile;
use super::keys::{KeyRing, KeySet};
use crate::client::base64url::encode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpStream;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_serve::{CONNECTIONS_MAX, Drain, Limits, json_reply, serve_connection};

const BODY_BYTES_MAX: usize = 64 * 1024;
const LIMITS: Limits = Limits {
    connections_max: CONNECTIONS_MAX,
    header_bytes_max: 64 * 1024,
    // No request is worth waiting for.
    drain_max: Duration::ZERO,
};
const JTI_BYTES: usize = 16;

/// Options of the server.
#[derive(clap::Args)]
pub struct Args {
    /// Loopback address to listen on; port 0 picks a free port.
    #[arg(long, default_value = "127.0.0.1:7000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Issuer URL in tokens and metadata [default: http://ADDRESS].
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Keep the keys in this file, so that brokers still know them after a restart.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Write the port to this file once listening.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Bearer token that GET /token requires [default: none].
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    request_token: Option<String>,
}

/// The state that all connections share.
struct Issuer {
    url: String,
    /// Accepted values of `Host`.
    hosts: Vec<String>,
    request_token: Option<String>,
    keys: RwLock<KeyRing>,
    key_file: KeyFile,
}

type Reply = Response<Full<Bytes>>;

/// Serves until a signal stops it.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(Failure::usage(format!("{} is not a loopback address", args.listen))
            .hint("the dev issuer issues any token to anyone; listen on 127.0.0.1"));
    }
    vouchsafe_cli::run(listen(args))
}

async fn listen(args: Args) -> Result<ExitCode, Failure> {
    let taken = |error| {
        Failure::usage(format!("cannot listen on {}: {error}", args.listen))
            .hint("stop the process that listens there, or use another address with --listen")
    };
    let (listener, address) = vouchsafe_serve::bind(args.listen).await.map_err(taken)?;
    let issuer = Arc::new(Issuer::new(&args, address)?);
    if let Some(file) = &args.port_file {
        std::fs::write(file, address.port().to_string())
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", file.display())))?;
    }
    // ORDER: signals are handled before the address is announced, so that its reader can stop the issuer.
    let stop =
        vouchsafe_serve::stop_signal().map_err(|error| Failure::refused(format!("cannot handle signals: {error}")))?;
    println!("listening on http://{address}");
    vouchsafe_serve::serve("dev-issuer", listener, LIMITS, stop, |stream, _, drain| {
        Some(serve_requests(Arc::clone(&issuer), stream, drain))
    })
    .await;
    Ok(ExitCode::SUCCESS)
}

async fn serve_requests(issuer: Arc<Issuer>, stream: TcpStream, drain: Drain) {
    serve_connection(stream, LIMITS, drain, |request| Arc::clone(&issuer).answer(request)).await;
}

impl Issuer {
    fn new(args: &Args, address: SocketAddr) -> Result<Self, Failure> {
        let own = address.to_string();
        let url = args.issuer.clone().unwrap_or_else(|| format!("http://{own}"));
        let authority = authority(&url).ok_or_else(|| {
            Failure::usage(format!("invalid issuer URL {url}")).hint("use an http or https URL without a path")
        })?;
        let hosts = vec![own, format!("localhost:{}", address.port()), authority];
        let request_token = args.request_token.clone();
        let key_file = KeyFile::new(args.key_file.clone());
        let keys = key_file.load().map_err(|error| Failure::usage(format!("cannot load keys: {error:#}")))?;
        Ok(Self { url, hosts, request_token, keys: RwLock::new(keys), key_file })
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        if let Some(refusal) = self.refuse_foreign(request.headers()) {
            return refusal;
        }
        let (head, body) = request.into_parts();
        match (&head.method, head.uri.path()) {
            (&Method::GET | &Method::HEAD, "/.well-known/openid-configuration") => {
                cached(&head.headers, &self.metadata())
            }
            (&Method::GET | &Method::HEAD, "/.well-known/jwks.json") => {
                cached(&head.headers, &self.keys.read().unwrap_or_else(PoisonError::into_inner).jwks())
            }
            (&Method::GET, "/token") => self.token(&head.headers, head.uri.query().unwrap_or("")),
            (&Method::POST, "/mint") => self.mint(&head.headers, body).await,
            (&Method::POST, "/rotate") => self.rotate(head.uri.query()).await,
            (_, "/.well-known/openid-configuration" | "/.well-known/jwks.json" | "/token" | "/mint" | "/rotate") => {
                failed(StatusCode::METHOD_NOT_ALLOWED, "method not allowed on this route")
            }
            _ => failed(StatusCode::NOT_FOUND, "see `vouchsafe dev-issuer --help` for the routes"),
        }
    }

    fn refuse_foreign(&self, headers: &HeaderMap) -> Option<Reply> {
        let mut hosts = headers.get_all(HOST).iter();
        let ours = hosts.next().is_some_and(|host| self.hosts.iter().any(|own| host == own.as_str()));
        if !ours || hosts.next().is_some() {
            return Some(failed(StatusCode::MISDIRECTED_REQUEST, "`Host` does not match this issuer"));
        }
        headers.contains_key(ORIGIN).then(|| failed(StatusCode::FORBIDDEN, "requests from web pages are refused"))
    }

    fn metadata(&self) -> Value {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/.well-known/jwks.json", self.url),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": super::keys::Algorithm::ALL.map(super::keys::Algorithm::name),
            "scopes_supported": ["openid"],
        })
    }

    /// Answers like GitHub's token service: with the token in `value`.
    fn token(&self, headers: &HeaderMap, query: &str) -> Reply {
        if !self.permits(headers) {
            let mut reply = failed(StatusCode::UNAUTHORIZED, "wrong bearer token");
            reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return reply;
        }
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "audience");
        let audience = asked.map_or(GITHUB_AUDIENCE_DEFAULT.into(), |(_, value)| value);
        match self.sign(MintRequest::github(&audience)) {
            Ok(token) => json_reply(StatusCode::OK, json!({ "count": token.len(), "value": token }).to_string()),
            Err(reason) => failed(StatusCode::BAD_REQUEST, &reason),
        }
    }

    /// Whether the bearer token is right. The scheme is case-insensitive (RFC 9110 §11.1).
    fn permits(&self, headers: &HeaderMap) -> bool {
        let Some(expected) = &self.request_token else {
            return true;
        };
        let given =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|text| text.split_once(' '));
        given.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token == expected)
    }

    async fn mint(&self, headers: &HeaderMap, body: Incoming) -> Reply {
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return failed(StatusCode::PAYLOAD_TOO_LARGE, "body larger than 64 KiB");
        };
        let body = body.to_bytes();
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let request = match kind.split(';').next().unwrap_or("").trim() {
            "application/json" => MintRequest::from_json(&body),
            "application/x-www-form-urlencoded" => MintRequest::from_form(&body),
            _ => return failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send JSON or a form"),
        };
        match request.and_then(|request| self.sign(request)) {
            Ok(token) => json_reply(StatusCode::OK, json!({ "token": token }).to_string()),
            Err(reason) => failed(StatusCode::BAD_REQUEST, &reason),
        }
    }

    fn sign(&self, request: MintRequest) -> Result<String, String> {
        let algorithm = request.algorithm()?;
        let mut unique = [0; JTI_BYTES];
        getrandom::fill(&mut unique).map_err(|error| error.to_string())?;
        let now_seconds = clock::unix_seconds().map_err(|failure| failure.message)?;
        let now_seconds = i64::try_from(now_seconds).map_err(|error| error.to_string())?;
        let claims = request.claims(&self.url, now_seconds, encode(&unique))?;
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .sign(algorithm, &claims)
            .map_err(|error| error.to_string())
    }

    async fn rotate(&self, query: Option<&str>) -> Reply {
        let remove = match query {
            None | Some("remove=false") => false,
            Some("remove=true") => true,
            Some(_) => {
                return failed(StatusCode::BAD_REQUEST, "invalid query: only remove=true is allowed");
            }
        };
        // Generating an RSA key would block other requests.
        let Ok(Ok(next)) = tokio::task::spawn_blocking(KeySet::generate).await else {
            return failed(StatusCode::INTERNAL_SERVER_ERROR, "key generation failed");
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.rotate(next, remove);
        match self.key_file.save(&keys) {
            Ok(()) => json_reply(StatusCode::OK, keys.jwks().to_string()),
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")),
        }
    }
}

/// The authority of an http or https URL that has no path.
fn authority(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let plain = uri.query().is_none() && uri.path() == "/" && !url.ends_with('/') && !url.contains(['@', '#']);
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (plain && known).then(|| uri.authority().map(ToString::to_string)).flatten()
}

fn failed(status: StatusCode, reason: &str) -> Reply {
    json_reply(status, json!({ "error": reason }).to_string())
}

/// A public document with its ETag (RFC 9110 §8.8.3), or 304 if the client has it.
fn cached(headers: &HeaderMap, value: &Value) -> Reply {
    let text = value.to_string();
    let etag = format!("\"{}\"", encode(digest(&SHA256, text.as_bytes()).as_ref()));
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let fresh = known
        .flat_map(|list| list.split(','))
        .any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag);
    let mut reply = json_reply(StatusCode::OK, text);
    if fresh {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        *reply.body_mut() = Full::default();
        reply.headers_mut().remove(CONTENT_TYPE);
    }
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        reply.headers_mut().insert(ETAG, etag);
    }
    reply
}
