//! The listeners: one for the application, one for its metrics.

use crate::app::App;
use crate::metrics::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use vouchsafe_serve::{CONNECTIONS_MAX, Drain, Limits, log, serve_connection};

const LIMITS: Limits =
    Limits { connections_max: CONNECTIONS_MAX, header_bytes_max: 64 * 1024, drain_max: Duration::from_secs(10) };

/// Serves `app` until `stop` completes, then lets requests in flight finish.
pub async fn serve(app: Arc<App>, listener: TcpListener, stop: impl Future<Output = ()>) {
    let stop = async {
        stop.await;
        app.metrics.draining.store(true, Relaxed);
    };
    let connect = |stream, client, drain| Some(connection(Arc::clone(&app), stream, client, drain));
    let open = vouchsafe_serve::serve("serve", listener, LIMITS, stop, connect).await;
    if open > 0 {
        log!("serve: {open} connections did not end within {} s", LIMITS.drain_max.as_secs());
    }
}

async fn connection(app: Arc<App>, stream: TcpStream, client: SocketAddr, drain: Drain) {
    app.metrics.connections.fetch_add(1, Relaxed);
    serve_connection(stream, LIMITS, drain, |request| {
        let app = Arc::clone(&app);
        async move { app.answer(request, client).await }
    })
    .await;
    app.metrics.connections.fetch_sub(1, Relaxed);
}

/// Serves `metrics` at `/metrics` for as long as the process lives.
pub async fn serve_metrics(metrics: Arc<Metrics>, listener: TcpListener) {
    let render = move || metrics.text();
    vouchsafe_serve::serve_metrics(listener, LIMITS.header_bytes_max, render).await;
}
