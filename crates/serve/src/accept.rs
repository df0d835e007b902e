//! The accept loop: a bounded number of connections, and the drain at the end.

use crate::connection::Drain;
use crate::limits::Limits;
use crate::log;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Pause after a failed accept, which is usually a lack of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`; also returns the address with the port that was chosen for port 0.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Accepts connections until `stop` completes, then lets requests in flight finish. Returns how many connections were
/// still open after [`Limits::drain_max`].
///
/// `connect` makes the task of a connection, or `None` to close the connection at once. `name` begins log lines.
pub async fn serve<F>(
    name: &str,
    listener: TcpListener,
    limits: Limits,
    stop: impl Future<Output = ()>,
    connect: impl Fn(TcpStream, SocketAddr, Drain) -> Option<F>,
) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let (closing, closed) = watch::channel(false);
    let gate = Gate::new(listener, limits.connections_max);
    let drain = || Drain(closed.clone());
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        // ORDER: the signal is noticed even while all permits are taken.
        let (permit, accepted) = tokio::select! {
            Ok(accepted) = gate.accept() => accepted,
            () = &mut stop => break,
            // The semaphore is never closed.
            else => break,
        };
        match accepted {
            Ok((stream, client)) => start(&mut connections, permit, stream, |it| connect(it, client, drain())),
            Err(error) => {
                log!("{name}: accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    for (permit, stream, client) in gate.close() {
        start(&mut connections, permit, stream, |it| connect(it, client, drain()));
    }
    closing.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(limits.drain_max, all).await);
    connections.len()
}

/// Runs the task of a connection, if `connect` makes one.
fn start<F>(
    connections: &mut JoinSet<()>,
    permit: OwnedSemaphorePermit,
    stream: TcpStream,
    connect: impl FnOnce(TcpStream) -> Option<F>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    // Only for latency: the connection works without it.
    drop(stream.set_nodelay(true));
    if let Some(task) = connect(stream) {
        connections.spawn(async move {
            task.await;
            drop(permit);
        });
    }
}

/// A listener that accepts no more connections than it has permits for.
pub(crate) struct Gate {
    listener: TcpListener,
    permits: Arc<Semaphore>,
}

/// A connection with its permit.
type Accepted = (OwnedSemaphorePermit, io::Result<(TcpStream, SocketAddr)>);

impl Gate {
    pub(crate) fn new(listener: TcpListener, connections_max: usize) -> Self {
        Self { listener, permits: Arc::new(Semaphore::new(connections_max)) }
    }

    /// ORDER: a permit before a connection, so that waiting clients use no file descriptors.
    pub(crate) async fn accept(&self) -> Result<Accepted, AcquireError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        Ok((permit, self.listener.accept().await))
    }

    /// Closes the listener. Returns the connections that waited in the kernel's queue, as far as there are permits: it
    /// would reset them, although their clients may have sent a request.
    fn close(self) -> Vec<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
        let mut waiting = Vec::new();
        let Ok(listener) = self.listener.into_std() else {
            return waiting;
        };
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned()
            && let Ok((stream, client)) = listener.accept()
        {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                waiting.push((permit, stream, client));
            }
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    const LIMITS: Limits = Limits { connections_max: 1, header_bytes_max: 16 * 1024, drain_max: Duration::ZERO };

    async fn listen() -> (TcpListener, SocketAddr) {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        bind(loopback).await.expect("a free port")
    }

    #[tokio::test]
    async fn stops_while_all_permits_are_taken() {
        let (listener, address) = listen().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let (connected, mut first) = tokio::sync::mpsc::unbounded_channel();
        let server = tokio::spawn(async move {
            let connect = |stream, _, _| {
                connected.send(()).expect("the test waits");
                Some(async move {
                    std::future::pending::<()>().await;
                    drop::<TcpStream>(stream);
                })
            };
            serve("test", listener, LIMITS, stopped, connect).await
        });
        let _clients = [
            TcpStream::connect(address).await.expect("connects"),
            TcpStream::connect(address).await.expect("waits in the kernel"),
        ];
        first.recv().await.expect("the first connection is accepted");
        stop.send(()).expect("the server runs");
        assert_eq!(server.await.expect("no panic"), 1, "connections still open");
        assert!(first.recv().await.is_none(), "the second was not accepted");
    }

    #[tokio::test]
    async fn serves_connections_that_wait_when_it_stops() {
        let (listener, address) = listen().await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.expect("waits in the kernel"));
        }
        let greet =
            |mut stream: TcpStream, _, _| Some(async move { stream.write_all(b"served").await.expect("writes") });
        let limits = Limits { connections_max: 3, drain_max: Duration::from_secs(60), ..LIMITS };
        let open = serve("test", listener, limits, std::future::ready(()), greet).await;
        assert_eq!(open, 0);
        for mut client in clients {
            let mut text = String::new();
            client.read_to_string(&mut text).await.expect("no reset");
            assert_eq!(text, "served");
        }
    }

    #[tokio::test]
    async fn closes_a_refused_connection() {
        let (listener, address) = listen().await;
        let refuse = |_, _, _| None::<std::future::Ready<()>>;
        let never = std::future::pending();
        tokio::spawn(async move { serve("test", listener, LIMITS, never, refuse).await });
        for _ in 0..2 {
            let mut client = TcpStream::connect(address).await.expect("connects");
            let mut bytes = Vec::new();
            client.read_to_end(&mut bytes).await.expect("a clean close");
            assert!(bytes.is_empty());
        }
    }
}
