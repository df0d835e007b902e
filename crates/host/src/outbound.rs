//! Outbound HTTP of guests: allow-list, address checks, timeouts.
//!
//! ORDER: the allow-list is checked before any name is resolved, and every resolved address before a connection. The
//! connection goes to a checked address, so that a second DNS answer can't redirect it. A proxy resolves names itself:
//! then its own address is checked instead.

mod attempt;
mod body;
mod connect;
mod failure;
mod log_lines;
mod network;

pub use failure::Failure;
pub use log_lines::LogLines;
pub use network::Network;

use attempt::Attempt;
use body::{AbortOnDrop, TimedBody};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// Maximum and default of the timeouts that a guest can set for each step.
const STEP_TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// Outbound HTTP of one guest.
pub struct Outbound(pub Arc<Network>);

type IoOutcome = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, IoOutcome), Error>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: IoOutcome,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let network = Arc::clone(&self.0);
        Box::new(async move { send(&network, request, Timeouts::new(options)).await })
    }
}

/// The longest times for the steps of one request.
pub struct Timeouts {
    pub connect: Duration,
    pub first_byte: Duration,
    pub between_bytes: Duration,
}

impl Timeouts {
    fn new(options: Option<RequestOptions>) -> Self {
        let options = options.unwrap_or_default();
        let bounded = |asked: Option<Duration>| asked.unwrap_or(STEP_TIMEOUT_MAX).min(STEP_TIMEOUT_MAX);
        Self {
            connect: bounded(options.connect_timeout),
            first_byte: bounded(options.first_byte_timeout),
            between_bytes: bounded(options.between_bytes_timeout),
        }
    }
}

async fn send(network: &Arc<Network>, request: Request<WasiBody>, timeouts: Timeouts) -> Sent {
    let mut attempt = Attempt::start(network, &request);
    let between_bytes = timeouts.between_bytes;
    let (response, connection, guard) = match answer(network, request, timeouts).await {
        Ok(answer) => answer,
        Err(failure) => return Err(attempt.fail(failure)),
    };
    // Connections are not pooled: each ends with its response's body, or when the guest drops that.
    let response = response.map(|incoming| TimedBody::new(incoming, between_bytes, attempt, guard).boxed_unsync());
    let finished: IoOutcome = Box::new(async move {
        match connection.await {
            Ok(ended) => ended.map_err(Error::from),
            Err(_) => Ok(()),
        }
    });
    Ok((response, finished))
}

/// A response whose body is still to be read, and the task that runs its connection.
pub type Answer = (Response<hyper::body::Incoming>, tokio::task::JoinHandle<hyper::Result<()>>, AbortOnDrop);

/// Sends a request by the rules of `network`.
pub async fn answer(network: &Network, mut request: Request<WasiBody>, timeouts: Timeouts) -> Result<Answer, Failure> {
    let uri = request.uri();
    let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
    let (scheme, default_port) = if is_tls { ("https", 443) } else { ("http", 80) };
    let host = uri.host().ok_or_else(Failure::invalid_uri)?;
    let port = uri.port_u16().unwrap_or(default_port);
    if !network.allows(scheme, host, port) {
        return Err(Failure::host_not_allowed(&format!("{scheme}://{host}:{port}")));
    }
    let stream = timeout(timeouts.connect, connect::open(network, uri, host, port)).await;
    let stream = stream.unwrap_or_else(|_| Err(connect::timed_out(network, uri, timeouts.connect)))?;
    *request.uri_mut() = origin_form(uri)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(Failure::interrupted)?;
    let connection = tokio::spawn(connection);
    let guard = AbortOnDrop(connection.abort_handle());
    let response = timeout(timeouts.first_byte, sender.send_request(request)).await;
    let response = response.map_err(|_| Failure::answer_timeout(timeouts.first_byte))?;
    let response = response.map_err(Failure::interrupted)?;
    Ok((response, connection, guard))
}

/// The request target in origin form: path and query only (RFC 9112 §3.2.1).
fn origin_form(uri: &Uri) -> Result<Uri, Failure> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.is_empty() { "/" } else { path };
    Uri::builder().path_and_query(path).build().map_err(|_| Failure::invalid_uri())
}

#[cfg(test)]
mod tests;
