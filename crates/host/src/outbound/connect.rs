//! Connections of outbound requests: directly, or through a proxy; with TLS end to end.

use super::failure::Failure;
use super::network::Network;
use crate::proxy::Intercept;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to `host`, as in a URL, for `uri`.
pub async fn open(network: &Network, uri: &Uri, host: &str, port: u16) -> Result<Box<dyn Stream>, Failure> {
    let is_tls = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
    let stream: Box<dyn Stream> = match network.proxy.of(uri) {
        Some(proxy) => {
            // The proxy resolves names, so this host can only check an address that is in the URL itself.
            if let Ok(address) = bare(host).parse() {
                network.check(address)?;
            }
            Box::new(tunnel(network, &proxy, &format!("{host}:{port}")).await?)
        }
        None => Box::new(connect(network, host, port).await?),
    };
    if !is_tls {
        return Ok(stream);
    }
    let name = rustls::pki_types::ServerName::try_from(bare(host).to_owned()).map_err(|_| Failure::invalid_uri())?;
    let connector = tokio_rustls::TlsConnector::from(network.tls.of(host));
    let stream = connector.connect(name, stream).await.map_err(|error| Failure::of_tls(host, error))?;
    Ok(Box::new(stream))
}

/// The host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn resolve(network: &Network, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let found = tokio::net::lookup_host((bare(host), port)).await;
    let addresses: Vec<_> = found.map_err(|error| Failure::name_unknown(host, Some(&error)))?.collect();
    for address in &addresses {
        network.check(address.ip())?;
    }
    Ok(addresses)
}

async fn connect(network: &Network, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let mut last = Failure::name_unknown(host, None);
    for address in resolve(network, host, port).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Only for latency: the connection works without it.
                drop(stream.set_nodelay(true));
                return Ok(stream);
            }
            Err(error) => last = Failure::not_connected(address, &error),
        }
    }
    Err(last)
}

/// Has `proxy` connect to `target` (RFC 9110 §9.3.6).
async fn tunnel(
    network: &Network,
    proxy: &Intercept,
    target: &str,
) -> Result<TokioIo<hyper::upgrade::Upgraded>, Failure> {
    let (host, port) = (proxy.uri().host().unwrap_or_default(), proxy.uri().port_u16().unwrap_or(80));
    let shown = format!("{host}:{port}");
    let failed = |failure: &Failure| Failure::of_proxy(&shown, failure);
    let interrupted = |error| failed(&Failure::interrupted(error));
    let stream = connect(network, host, port).await.map_err(|failure| failed(&failure))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(interrupted)?;
    // Ends with the tunnel, or when `sender` is dropped without one.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::connect(target).header(HOST, target);
    if let Some(credentials) = proxy.basic_auth() {
        request = request.header(PROXY_AUTHORIZATION, credentials);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| Failure::invalid_uri())?;
    let response = sender.send_request(request).await.map_err(interrupted)?;
    if !response.status().is_success() {
        return Err(Failure::proxy_refused(&shown, target, response.status()));
    }
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(interrupted)
}

/// No connection for `uri` within `after`.
pub fn timed_out(network: &Network, uri: &Uri, after: Duration) -> Failure {
    let failure = Failure::connect_timeout(after);
    match network.proxy.of(uri).as_ref().and_then(|proxy| proxy.uri().authority()) {
        Some(proxy) => Failure::of_proxy(proxy.as_str(), &failure),
        None => failure,
    }
}
