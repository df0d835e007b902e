//! Acknowledges at once what was read.
//!
//! A client that sends a request's head and body in two writes, and leaves Nagle's algorithm on (RFC 1122
//! §4.2.3.4), sends the body only once the head is acknowledged. Linux delays that by 40 ms on a connection
//! that has answered before, since it hopes for an answer to carry it. Spin's outbound client is such a client.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TCP stream whose reads are acknowledged at once.
pub struct QuickAck<S>(S);

impl<S: AsFd> QuickAck<S> {
    pub fn new(stream: S) -> Self {
        let stream = Self(stream);
        stream.acknowledge();
        stream
    }

    /// Only a latency matter: the connection works without it.
    fn acknowledge(&self) {
        // The kernel forgets this option as the connection goes on (tcp(7)), so it is set after each read; that
        // sends an acknowledgement that waits, too.
        #[cfg(target_os = "linux")]
        rustix::net::sockopt::set_tcp_quickack(self.0.as_fd(), true).unwrap_or_default();
    }
}

impl<S: AsyncRead + AsFd + Unpin> AsyncRead for QuickAck<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.0).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.acknowledge();
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for QuickAck<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
