//! One connection: its time limits, and its end when the server stops.

use crate::limits::Limits;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio_io_timeout::TimeoutStream;

/// Longest time that a client may take to send a request's head, and to stay idle between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that a client may leave an answer unread: without this limit, clients that never read would hold
/// every connection.
const WRITE_STALL_MAX: Duration = Duration::from_secs(10);
/// How long a new connection may take to send its first request when the server stops.
const FIRST_REQUEST_MAX: Duration = Duration::from_secs(1);

/// Tells a connection that the server is stopping.
#[derive(Clone)]
pub struct Drain(pub(crate) watch::Receiver<bool>);

impl Drain {
    async fn started(&mut self) {
        drop(self.0.wait_for(|closing| *closing).await);
    }
}

/// Serves one connection until it ends, or until the answer in flight is sent when the server stops.
///
/// Errors of a connection are dropped: the client disconnected, stalled, or doesn't speak HTTP.
pub async fn serve_connection<S, F, B>(
    stream: S,
    limits: Limits,
    mut drain: Drain,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    S: AsyncRead + AsyncWrite,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let asked = Notify::new();
    let service = service_fn(|request| {
        asked.notify_one();
        let response = answer(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let connection = builder(limits.header_bytes_max).serve_connection(bounded(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = drain.started() => {}
    }
    // hyper would close a connection that has just been made, while its client sends a request.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = asked.notified() => {}
        () = tokio::time::sleep(FIRST_REQUEST_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(connection.await);
}

/// HTTP/1.1 with the limits on a request's head.
pub(crate) fn builder(header_bytes_max: usize) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(header_bytes_max);
    builder
}

/// `stream` with an error in place of a write that stalls.
pub(crate) fn bounded<S: AsyncRead + AsyncWrite>(stream: S) -> TokioIo<Pin<Box<TimeoutStream<S>>>> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_STALL_MAX));
    TokioIo::new(Box::pin(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const LIMITS: Limits = Limits { connections_max: 1, header_bytes_max: 16 * 1024, drain_max: Duration::ZERO };

    /// What a server that is stopping answers to `sent` on a new connection.
    async fn answer(sent: &str) -> String {
        let (mut client, server) = tokio::io::duplex(1024);
        let (_closing, closed) = watch::channel(true);
        client.write_all(sent.as_bytes()).await.expect("the buffer has room");
        let answer = |_| std::future::ready(Response::new(String::new()));
        serve_connection(server, LIMITS, Drain(closed), answer).await;
        let mut text = String::new();
        client.read_to_string(&mut text).await.expect("text");
        text
    }

    #[tokio::test]
    async fn answers_first_request_when_server_stops() {
        let text = answer("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert_eq!(answer("").await, "", "a silent client");
    }
}
