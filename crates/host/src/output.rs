//! Guests' standard output and error, forwarded to the host's standard error in whole lines.

use crate::application_log::ApplicationLog;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// Longest line that is buffered until its end; longer ones are printed in pieces.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Output of one instance. Lines of concurrent instances never mix.
#[derive(Clone)]
pub struct Output {
    pending: Arc<Mutex<Vec<u8>>>,
    log: Arc<ApplicationLog>,
}

impl Output {
    pub fn new(log: &Arc<ApplicationLog>) -> Self {
        Self { pending: Arc::default(), log: Arc::clone(log) }
    }

    fn append(&self, bytes: &[u8]) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.extend_from_slice(bytes);
        let complete = match pending.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end.saturating_add(1),
            None if pending.len() > LINE_BYTES_MAX => pending.len(),
            None => return,
        };
        let lines = pending.get(..complete).unwrap_or_default();
        // If standard error is closed, guests carry on without it.
        drop(std::io::stderr().lock().write_all(lines));
        self.log.read(lines);
        pending.drain(..complete);
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
