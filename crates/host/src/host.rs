//! A host that is ready: loaded, listening, and answering.

use crate::app::App;
use crate::application::Application;
use crate::error::HostError;
use crate::grants;
use crate::loader::{Loaded, Loader};
use crate::reload::reload;
use crate::server;
use crate::transparency;
use std::io::{ErrorKind, IsTerminal as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use vouchsafe_serve::log;

/// Connections that wait in the kernel.
const BACKLOG: u32 = 1024;
/// Pause between two attempts to become ready.
const READY_PAUSE: Duration = Duration::from_secs(1);

type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A host that is ready to serve.
pub struct Host {
    app: Arc<App>,
    loader: Arc<Loader>,
    listener: TcpListener,
    address: SocketAddr,
    stop: Stop,
    hangup: Signal,
    ready: Vec<u8>,
}

impl Application {
    /// Loads the application, waits until it answers that it is ready, and listens. `None` if a signal stopped it
    /// before.
    pub async fn start(self) -> Result<Option<Host>, HostError> {
        let mounts = grants::mounts(&self)?;
        let loader = Arc::new(Loader::new(self)?);
        let options = &loader.application.options;
        // ORDER: the port is taken at once, but clients can connect only when the application is ready.
        let (socket, address) = bind(options.listen)?;
        if let Some(metrics) = options.metrics_listen {
            let bound = vouchsafe_serve::bind(metrics).await;
            let (listener, address) = bound.map_err(|error| cannot_listen(metrics, "--metrics-listen", &error))?;
            log!("serve: metrics at http://{address}/metrics");
            tokio::spawn(server::serve_metrics(Arc::clone(&loader.metrics), listener));
        }
        // ORDER: signals are caught before the address is announced, so that a reader of it can stop the host.
        let failed = |error| HostError::startup(format!("cannot handle signals: {error}"));
        let mut stop: Stop = Box::pin(vouchsafe_serve::stop_signal().map_err(failed)?);
        let hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let loaded = loader.load(mounts);
        let ready = tokio::select! {
            ready = until_ready(&loaded, address, options.wait_ready) => ready,
            () = &mut stop => {
                loader.metrics.draining.store(true, Relaxed);
                return Ok(None);
            }
        };
        let ready = ready.inspect_err(|_| loader.metrics.draining.store(true, Relaxed))?;
        let listener = socket.listen(BACKLOG).map_err(|error| cannot_listen(address, "--listen", &error))?;
        let app = Arc::new(App::new(loaded, Arc::clone(&loader.metrics)));
        announce(&app, address);
        Ok(Some(Host { app, loader, listener, address, stop, hangup, ready }))
    }
}

impl Host {
    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The body of the application's answer to `/readyz`.
    #[must_use]
    pub fn ready(&self) -> &[u8] {
        &self.ready
    }

    /// Serves until SIGTERM or SIGINT, then drains. Loads the bundle again on each SIGHUP.
    pub async fn serve(self) {
        let Self { app, loader, listener, address, stop, hangup, .. } = self;
        tokio::spawn(transparency::keep(Arc::clone(&app), address.to_string()));
        let reloads = reload_on(hangup, Arc::clone(&app), loader, address.to_string());
        let stop = async {
            tokio::select! {
                () = stop => {}
                () = reloads => {}
            }
        };
        server::serve(app, listener, stop).await;
    }
}

/// Reloads on each signal, until the signal means that the terminal was closed.
async fn reload_on(mut hangup: Signal, app: Arc<App>, loader: Arc<Loader>, authority: String) {
    let at_terminal = std::io::stderr().is_terminal();
    while hangup.recv().await.is_some() {
        if at_terminal && !std::io::stderr().is_terminal() {
            return;
        }
        reload(&app, &loader, &authority).await;
    }
}

/// Checks readiness until it succeeds or `wait` has passed, and logs what it waits for.
async fn until_ready(loaded: &Loaded, address: SocketAddr, wait: Duration) -> Result<Vec<u8>, HostError> {
    let start = Instant::now();
    let mut logged = String::new();
    loop {
        let error = match loaded.check_ready(&address.to_string()).await {
            Ok(ready) => return Ok(ready),
            Err(error) => error,
        };
        let left = wait.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(error);
        }
        if error.message != logged {
            log!("serve: {}; trying again for up to {} s", error.message, left.as_secs().saturating_add(1));
            logged = error.message;
        }
        tokio::time::sleep(READY_PAUSE.min(left)).await;
    }
}

/// Tells operators which of several brokers, versions and bundles this log is of.
fn announce(app: &App, address: SocketAddr) {
    let version = env!("CARGO_PKG_VERSION");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let (host, process) = (host.trim(), std::process::id());
    let bundle = app.digest().map(|digest| format!(", bundle {digest}")).unwrap_or_default();
    log!("serve: started version {version}, instance {host}/{process}, address {address}{bundle}");
}

/// Takes the address without listening on it.
fn bind(address: SocketAddr) -> Result<(TcpSocket, SocketAddr), HostError> {
    let bind = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As listeners of the standard library: a restart must not wait for old connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let bound = socket.local_addr()?;
        Ok((socket, bound))
    };
    bind().map_err(|error| cannot_listen(address, "--listen", &error))
}

fn cannot_listen(address: SocketAddr, flag: &str, error: &std::io::Error) -> HostError {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => format!("another process uses this port; stop it, or set another one with {flag}"),
        ErrorKind::AddrNotAvailable => {
            format!("no network interface of this machine has this address; set another one with {flag}")
        }
        ErrorKind::PermissionDenied => {
            format!("ports below 1024 require a privilege (CAP_NET_BIND_SERVICE); set another one with {flag}")
        }
        _ => format!("set another address with {flag}"),
    };
    HostError::startup(format!("cannot listen on {address}: {error}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hint_fits_the_reason() {
        let address: SocketAddr = "192.0.2.1:80".parse().expect("an address");
        for (kind, expected) in [
            (ErrorKind::AddrInUse, "another process uses this port"),
            (ErrorKind::AddrNotAvailable, "no network interface of this machine has this address"),
            (ErrorKind::PermissionDenied, "ports below 1024 require a privilege"),
            (ErrorKind::OutOfMemory, "set another address with --listen"),
        ] {
            let hint = cannot_listen(address, "--listen", &kind.into()).hint.unwrap_or_default();
            assert!(hint.starts_with(expected), "{hint}");
        }
    }
}
