//! The HTTPS listeners, which use plain HTTP in development: connections and their limits.

mod admin;
mod peer;
mod peers;
mod quick_ack;
mod reply;
mod routes;
mod tls;

use crate::gateway::Gateway;
use http::Request;
use hyper::body::Incoming;
use peer::Peer;
use peers::Peers;
use quick_ack::QuickAck;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
pub use tls::acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use vouchsafe_gateway::CertificateDigest;
use vouchsafe_serve::{CONNECTIONS_MAX, Drain, Limits, linger, serve_connection};

const LIMITS: Limits =
    Limits { connections_max: CONNECTIONS_MAX, header_bytes_max: 16 * 1024, drain_max: Duration::from_secs(5) };
/// Longest time that a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

/// Selects the routes of a listener. Each has its own callers.
#[derive(Clone, Copy)]
pub enum Side {
    Admin,
    Signing,
}

/// Serves until `stop` completes, then lets requests in flight finish.
pub async fn serve(
    gateway: Arc<Gateway>,
    side: Side,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let peers = Arc::new(Peers::default());
    let connect = |stream, peer: SocketAddr, drain| {
        // Connections of a peer that has too many are closed at once.
        let counted = peers.add(peer.ip())?;
        let (gateway, tls) = (Arc::clone(&gateway), tls.clone());
        Some(async move {
            handle((gateway, side), stream, peer.ip(), tls, drain).await;
            drop(counted);
        })
    };
    vouchsafe_serve::serve("hsm-gateway", listener, LIMITS, stop, connect).await;
}

/// The gateway, and the side that a connection belongs to.
type Served = (Arc<Gateway>, Side);

async fn handle(served: Served, stream: TcpStream, address: IpAddr, tls: Option<TlsAcceptor>, drain: Drain) {
    let stream = QuickAck::new(stream);
    let mut peer = Peer { address, certificate: None };
    match tls {
        None => serve_requests(served, peer, stream, drain).await,
        Some(tls) => {
            // A failed handshake only concerns its client.
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                let (_, session) = stream.get_ref();
                let chain = session.peer_certificates().unwrap_or_default();
                peer.certificate = chain.first().map(|it| CertificateDigest::of(it));
                serve_requests(served, peer, stream, drain).await;
            }
        }
    }
}

async fn serve_requests(
    (gateway, side): Served,
    peer: Peer,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    drain: Drain,
) {
    serve_connection(stream, LIMITS, drain, |request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move {
            let (head, mut body) = request.into_parts();
            let request = Request::from_parts(head, &mut body);
            let reply = match side {
                Side::Admin => admin::answer(&gateway, &peer, request).await,
                Side::Signing => routes::answer(&gateway, &peer, request).await,
            };
            linger::respond(reply, body)
        }
    })
    .await;
}

/// Serves `/metrics` for as long as the process lives.
pub async fn serve_metrics(gateway: Arc<Gateway>, listener: TcpListener) {
    let render = move || gateway.metrics.render(&gateway.gauges());
    vouchsafe_serve::serve_metrics(listener, LIMITS.header_bytes_max, render).await;
}
