//! HTTPS, or plain http in development: connections, their limits, and the end.

mod about;
mod admin;
// Both programs answer in one way.
#[path = "../../../vouchsafe/src/host/linger.rs"]
mod linger;
mod peers;
mod quick_ack;
mod routes;
mod tls;

use crate::gateway::Gateway;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use peers::Peers;
use quick_ack::QuickAck;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
pub use tls::acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use vouchsafe_gateway::CertificateDigest;

/// Most connections at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// The same on the listener for metrics, which asks nobody who they are: its connections must not use up the
/// descriptors that all others need.
const METRICS_CONNECTIONS_MAX: usize = 32;
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Longest that a client may take to send a request's head, and to stay idle between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a client may take nothing of an answer that waits for it.
const WRITE_STALL_MAX: Duration = Duration::from_secs(10);
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Longest that requests in flight are waited for at the end.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Pause after a failed accept, which is usually a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub type Reply = Response<Full<Bytes>>;

/// Which routes a listener has. Each has callers of its own.
#[derive(Clone, Copy)]
pub enum Side {
    Admin,
    Signing,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
pub struct Peer {
    address: IpAddr,
    /// Of a client that showed one.
    certificate: Option<CertificateDigest>,
}

/// Serves until `stop` completes, then lets requests in flight finish.
pub async fn serve(
    gateway: Arc<Gateway>,
    side: Side,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let (closing, closed) = watch::channel(false);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let peers = Arc::new(Peers::default());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        // ORDER: a place before a connection; and the signal is heard while all places are taken.
        let place = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            (Ok(permit), accepted) = place => (permit, accepted),
            () = &mut stop => break,
            // The semaphore is never closed.
            else => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (gateway, tls, closed) = (Arc::clone(&gateway), tls.clone(), closed.clone());
                // Who has too many is not listened to: closed at once.
                if let Some(place) = peers.enter(peer.ip()) {
                    connections.spawn(async move {
                        accept((gateway, side), stream, peer.ip(), tls, closed).await;
                        drop((permit, place));
                    });
                }
            }
            Err(error) => {
                eprintln!("hsm-gateway: accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    closing.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(DRAIN_MAX, all).await);
}

/// A gateway, and which of its sides a connection came to.
type Served = (Arc<Gateway>, Side);

async fn accept(
    served: Served,
    stream: TcpStream,
    address: IpAddr,
    tls: Option<TlsAcceptor>,
    closed: watch::Receiver<bool>,
) {
    // Only a latency matter: the connection works without it.
    drop(stream.set_nodelay(true));
    let stream = QuickAck::new(stream);
    let mut peer = Peer {
        address,
        certificate: None,
    };
    match tls {
        None => converse(served, peer, stream, closed).await,
        Some(tls) => {
            // A handshake's error is its client's affair.
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                let (_, session) = stream.get_ref();
                let chain = session.peer_certificates().unwrap_or_default();
                peer.certificate = chain.first().map(|it| CertificateDigest::of(it));
                converse(served, peer, stream, closed).await;
            }
        }
    }
}

async fn converse(
    (gateway, side): Served,
    peer: Peer,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    mut closed: watch::Receiver<bool>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL_MAX));
    let service = service_fn(|request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move {
            let (head, mut body) = request.into_parts();
            let request = Request::from_parts(head, &mut body);
            let reply = match side {
                Side::Admin => admin::answer(&gateway, &peer, request).await,
                Side::Signing => routes::answer(&gateway, &peer, request).await,
            };
            Ok::<_, Infallible>(linger::respond(reply, body))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = async { drop(closed.wait_for(|closed| *closed).await) } => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

/// Serves `/metrics` for as long as the process lives.
pub async fn serve_metrics(gateway: Arc<Gateway>, listener: TcpListener) {
    let permits = Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX));
    // ORDER: a place before a connection. The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            converse_of_metrics(&gateway, stream).await;
            drop(permit);
        });
    }
}

async fn converse_of_metrics(gateway: &Gateway, stream: TcpStream) {
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let reply = metrics_reply(gateway, request.uri().path());
        async move { Ok::<_, Infallible>(reply) }
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL_MAX));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    // A connection's error is its client's affair.
    drop(connection.await);
}

fn metrics_reply(gateway: &Gateway, path: &str) -> Reply {
    let (status, text) = match path {
        "/metrics" => (StatusCode::OK, gateway.metrics.render(&gateway.gauges())),
        _ => (
            StatusCode::NOT_FOUND,
            "metrics are at /metrics\n".to_owned(),
        ),
    };
    let mut reply = Reply::new(Full::new(text.into()));
    *reply.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; version=0.0.4");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    reply
}
