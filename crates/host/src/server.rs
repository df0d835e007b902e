//! The HTTP server: connections, their limits, and the drain at the end.

use crate::app::App;
use crate::log::log;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

/// Most connections at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1024;
/// The same on the listener for metrics. Its clients show no credential, and must not use up the file descriptors
/// that all others need.
const METRICS_CONNECTIONS_MAX: usize = 32;
/// Longest that a client may take to send a request's head, and to stay idle between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that a client may take nothing of an answer that waits for it: without this bound, clients
/// that never read would hold every connection.
const WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// Largest request head.
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Longest that requests in flight are waited for at the end.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Pause after a failed accept, which is usually a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` until `stop` completes, then lets requests in flight finish.
pub async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let (closing, closed) = watch::channel(false);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
            Ok((stream, client)) => {
                let (app, closed) = (Arc::clone(&app), closed.clone());
                connections.spawn(async move {
                    connection(app, stream, client, closed).await;
                    drop(permit);
                });
            }
            Err(error) => {
                log!("serve: accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    drain(&app, closing, connections).await;
}

async fn drain(app: &App, closing: watch::Sender<bool>, mut connections: JoinSet<()>) {
    app.metrics.draining.store(true, Relaxed);
    closing.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_MAX, all).await.is_err() {
        log!(
            "serve: {} connections did not end within {} s",
            connections.len(),
            DRAIN_MAX.as_secs()
        );
    }
}

/// `stream` with an error in place of a write that stalls.
fn bounded(stream: TcpStream) -> TokioIo<Pin<Box<TimeoutStream<TcpStream>>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL_MAX));
    TokioIo::new(Box::pin(stream))
}

async fn connection(
    app: Arc<App>,
    stream: TcpStream,
    client: SocketAddr,
    mut closed: watch::Receiver<bool>,
) {
    app.metrics.connections.fetch_add(1, Relaxed);
    // Only a latency matter: the connection works without it.
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(app.answer(request, client).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(bounded(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A connection's error is its client's affair: broken off, or not HTTP.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = async { drop(closed.wait_for(|closed| *closed).await) } => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
    app.metrics.connections.fetch_sub(1, Relaxed);
}

/// Serves the metrics of `app` at `/metrics` for as long as the process lives.
pub async fn serve_metrics(app: Arc<App>, listener: TcpListener) {
    let permits = Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX));
    // ORDER: a place before a connection. The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            metrics_connection(&app, stream).await;
            drop(permit);
        });
    }
}

async fn metrics_connection(app: &App, stream: TcpStream) {
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let response = metrics_response(app, request.uri().path());
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(bounded(stream), service);
    drop(connection.await);
}

fn metrics_response(app: &App, path: &str) -> http::Response<Full<bytes::Bytes>> {
    let (status, text) = match path {
        "/metrics" => (http::StatusCode::OK, app.metrics.render()),
        _ => (
            http::StatusCode::NOT_FOUND,
            "metrics are at /metrics\n".to_owned(),
        ),
    };
    let mut response = http::Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; version=0.0.4");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}
