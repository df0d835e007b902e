//! The accept loop: a bounded number of connections, and the drain at the end.

use crate::connection::Drain;
use crate::log;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// Most connections of one listener at once; further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 1024;
/// Pause after a failed accept, which is usually a lack of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits of one listener that servers set for themselves.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most connections at once.
    pub connections_max: usize,
    /// Largest request head.
    pub header_bytes_max: usize,
    /// Longest time that requests in flight get to finish when the server stops.
    pub drain_max: Duration,
}

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
            Ok((stream, client)) => {
                // Only for latency: the connection works without it.
                drop(stream.set_nodelay(true));
                if let Some(task) = connect(stream, client, Drain(closed.clone())) {
                    connections.spawn(async move {
                        task.await;
                        drop(permit);
                    });
                }
            }
            Err(error) => {
                log!("{name}: accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(gate);
    closing.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    drop(tokio::time::timeout(limits.drain_max, all).await);
    connections.len()
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
        Self {
            listener,
            permits: Arc::new(Semaphore::new(connections_max)),
        }
    }

    /// ORDER: a permit before a connection, so that waiting clients use no file descriptors.
    pub(crate) async fn accept(&self) -> Result<Accepted, AcquireError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await?;
        Ok((permit, self.listener.accept().await))
    }
}
