//! Outbound HTTP of guests: allow-list, address checks, timeouts.
//!
//! ORDER: the allow-list is checked before any name is resolved, and every resolved address before a connection. The
//! connection goes to a checked address, so that a second DNS answer can't redirect it.

use crate::metrics::{Metrics, Outcome};
use crate::networks::Networks;
use crate::tls::Tls;
use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout};
use vouchsafe_manifest::HostPattern;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// Maximum and default of the timeouts that a guest can set for each step.
const STEP_TIMEOUT_MAX: Duration = Duration::from_secs(30);

/// What guests may reach, and how.
pub struct Network {
    pub allowed: Vec<HostPattern>,
    pub blocked: Networks,
    pub tls: Tls,
    pub metrics: Arc<Metrics>,
}

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
        Box::new(async move {
            let host = network.label(request.uri());
            let sent = send(&network, request, Timeouts::new(options)).await;
            network.metrics.record_outbound(&host, outcome(&sent));
            sent
        })
    }
}

fn outcome(sent: &Sent) -> Outcome {
    match sent {
        Ok(_) => Outcome::Answered,
        Err(Error::HttpRequestDenied | Error::DestinationIpProhibited) => Outcome::Denied,
        Err(Error::ConnectionTimeout | Error::ConnectionReadTimeout) => Outcome::TimedOut,
        Err(_) => Outcome::Failed,
    }
}

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

impl Network {
    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.allowed.iter().any(|pattern| pattern.allows(scheme, host, port))
    }

    /// The host's name in metrics: only names in the manifest, so that guests can't create unlimited series.
    fn label(&self, uri: &Uri) -> String {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let known = self.allowed.iter().any(|pattern| pattern.exact_host() == Some(host.as_str()));
        if known { host } else { "other".to_owned() }
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port)).await.map_err(|_| Error::DestinationNotFound)?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.iter().any(|address| self.blocked.contains(address.ip())) {
            return Err(Error::DestinationIpProhibited);
        }
        Ok(addresses)
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Error> {
        let mut last = Error::DestinationNotFound;
        for address in self.resolve(host, port).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(Error::Connect)?;
                    return Ok(stream);
                }
                Err(error) => last = Error::Connect(error),
            }
        }
        Err(last)
    }

    async fn open(&self, tls: bool, host: &str, port: u16) -> Result<Box<dyn Stream>, Error> {
        let stream = self.connect(host, port).await?;
        if !tls {
            return Ok(Box::new(stream));
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = rustls::pki_types::ServerName::try_from(bare).map_err(|_| Error::HttpRequestUriInvalid)?;
        let connector = tokio_rustls::TlsConnector::from(self.tls.of(host));
        Ok(Box::new(connector.connect(name, stream).await.map_err(Error::Tls)?))
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Sends a request by the rules of `network`.
pub async fn send(network: &Network, mut request: Request<WasiBody>, timeouts: Timeouts) -> Sent {
    let uri = request.uri();
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let (scheme, default_port) = if tls { ("https", 443) } else { ("http", 80) };
    let host = uri.host().ok_or(Error::HttpRequestUriInvalid)?.to_owned();
    let port = uri.port_u16().unwrap_or(default_port);
    if !network.allows(scheme, &host, port) {
        return Err(Error::HttpRequestDenied);
    }
    let stream =
        timeout(timeouts.connect, network.open(tls, &host, port)).await.map_err(|_| Error::ConnectionTimeout)??;
    *request.uri_mut() = origin_form(uri)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Connections are not pooled: each ends with its response's body, or when the guest drops that.
    let driver = tokio::spawn(connection);
    let guard = AbortOnDrop(driver.abort_handle());
    let response = timeout(timeouts.first_byte, sender.send_request(request))
        .await
        .map_err(|_| Error::ConnectionReadTimeout)??;
    let body = |incoming| TimedBody::new(incoming, timeouts.between_bytes, guard).boxed_unsync();
    let finished: IoOutcome = Box::new(async move {
        match driver.await {
            Ok(ended) => ended.map_err(Error::from),
            Err(_) => Ok(()),
        }
    });
    Ok((response.map(body), finished))
}

/// The request target in origin form: path and query only (RFC 9112 §3.2.1).
fn origin_form(uri: &Uri) -> Result<Uri, Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.is_empty() { "/" } else { path };
    Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A response body that ends with an error when the server stops sending.
struct TimedBody {
    incoming: hyper::body::Incoming,
    idle_max: Duration,
    idle: Pin<Box<Sleep>>,
    _connection: AbortOnDrop,
}

impl TimedBody {
    fn new(incoming: hyper::body::Incoming, idle_max: Duration, connection: AbortOnDrop) -> Self {
        Self { incoming, idle_max, idle: Box::pin(tokio::time::sleep(idle_max)), _connection: connection }
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                let deadline = Instant::now().checked_add(self.idle_max).unwrap_or_else(Instant::now);
                self.idle.as_mut().reset(deadline);
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending => self.idle.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
mod tests;
