//! Acknowledges received data at once.
//!
//! A client that sends a request's head and body in two writes, with Nagle's algorithm (RFC 1122 §4.2.3.4), sends the
//! body only after the head was acknowledged. On a connection that has sent responses, Linux delays that by 40 ms to
//! combine it with the next response. Spin's outbound client is such a client.

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

    /// Errors are ignored: without this, the connection is only slower.
    fn acknowledge(&self) {
        // The kernel resets this option (tcp(7)), so it is set after each read. Setting it also sends a pending
        // acknowledgement.
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
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
