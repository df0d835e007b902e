//! A host that is ready: loaded, listening, and answering.

use crate::app::App;
use crate::application::Application;
use crate::compose;
use crate::directories;
use crate::engine;
use crate::error::HostError;
use crate::grants;
use crate::instances::Instances;
use crate::link::link;
use crate::server;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::net::TcpListener;
use vouchsafe_serve::log;
use wasmtime::component::Component;
use wasmtime_wasi_http::p3::bindings::ServicePre;

/// Requested once before the first connection is accepted.
const READY: &str = "/readyz";
/// Time after which a slow start is explained.
const QUIET: Duration = Duration::from_millis(500);

/// A host that is ready to serve.
pub struct Host {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    ready: Vec<u8>,
}

impl Application {
    /// Loads the application, listens, and returns once the application answers that it is ready.
    pub async fn start(self) -> Result<Host, HostError> {
        let app = Arc::new(load(&self)?);
        let (listener, address) = bind(self.options.listen, "--listen").await?;
        if let Some(metrics) = self.options.metrics_listen {
            let (listener, address) = bind(metrics, "--metrics-listen").await?;
            log!("serve: metrics at http://{address}/metrics");
            tokio::spawn(server::serve_metrics(Arc::clone(&app), listener));
        }
        // ORDER: signals are caught before the address is announced, so that a reader of it can stop the host.
        let stop = vouchsafe_serve::stop_signal()
            .map_err(|error| HostError::startup(format!("cannot handle signals: {error}")))?;
        let ready = match check_ready(&app, address).await {
            Ok(ready) => ready,
            Err(error) => {
                app.metrics.draining.store(true, Relaxed);
                return Err(error);
            }
        };
        Ok(Host { app, listener, address, stop: Box::pin(stop), ready })
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

    /// Serves until SIGTERM or SIGINT, then drains.
    pub async fn serve(self) {
        server::serve(self.app, self.listener, self.stop).await;
    }
}

fn load(application: &Application) -> Result<App, HostError> {
    let Application { options, manifest, runtime, .. } = application;
    let state_dir = options.state_dir.clone().or(runtime.state_dir.clone()).unwrap_or_else(|| PathBuf::from(".state"));
    let grants = grants::grants(application, &state_dir)?;
    let composite = compose::compose(manifest, application.base(), options.crypto)?;
    let cache = options.cache_dir.clone().unwrap_or_else(|| directories::cache_directory(&state_dir));
    let engine = engine::new(&cache)?;
    let failed = |error: wasmtime::Error| HostError::configuration(format!("cannot load the application: {error:#}"));
    let linker = link(&engine, manifest, &composite.imports)?;
    let component = report_progress(|| Component::from_binary(&engine, &composite.bytes));
    let component = component.map_err(failed)?;
    let pre = linker.instantiate_pre(&component).and_then(ServicePre::new).map_err(failed)?;
    engine::start_epochs(&engine).map_err(|error| HostError::startup(error.to_string()))?;
    let metrics = Arc::clone(&grants.network.metrics);
    Ok(App::new(Instances { engine, pre, grants, lifetime: options.lifetime, metrics }))
}

/// Tells a user at a terminal why the first start takes a while. With compiled code in the cache, compiling takes less
/// than [`QUIET`].
fn report_progress<T>(compile: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return compile();
    }
    let (done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                log!("serve: compiling the components; later starts use the cache");
            }
        });
        let compiled = compile();
        drop(done);
        compiled
    })
}

async fn bind(address: SocketAddr, flag: &str) -> Result<(TcpListener, SocketAddr), HostError> {
    vouchsafe_serve::bind(address).await.map_err(|error| {
        HostError::startup(format!("cannot listen on {address}: {error}"))
            .hint(format!("another process may be using the port; set another one with {flag}"))
    })
}

/// Sends one request before any client does. It creates the first instance, which opens the store and loads the
/// bundle, so that an application that isn't ready is never served.
async fn check_ready(app: &App, address: SocketAddr) -> Result<Vec<u8>, HostError> {
    let answer = app.get(READY, &address.to_string()).await;
    let why = match answer {
        Ok((status, body)) if status.is_success() => return Ok(body.into()),
        Ok((status, body)) => format!("{READY} answered {status}: {}", String::from_utf8_lossy(&body).trim()),
        Err(error) => format!("{READY} failed: {error}"),
    };
    Err(HostError::startup(format!("the application is not ready: {why}")).hint("the log lines above say why"))
}
