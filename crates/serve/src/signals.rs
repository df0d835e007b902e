//! The signals that stop a server.

use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// Catches SIGTERM and SIGINT from now on, and completes when one of them arrives.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
