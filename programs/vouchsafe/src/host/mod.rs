//! The standalone host: runs the application of a `spin.toml` without Spin.
//!
//! It composes the components as Spin does ([`compose`]), grants what the manifest grants and
//! nothing else ([`state`]), reuses instances ([`instances`]) and serves HTTP/1.1 ([`server`]).
//! What Spin lacks: deadlines for requests, headers, bodies and CPU time, a drain, checks of the
//! addresses that guests connect to ([`outbound`]), and metrics.
//!
//! It has no TLS of its own and no second trigger: a reverse proxy stands in front of it.
//! Entry point: [`run`].

mod app;
mod bindings;
mod bundle;
mod clock;
pub mod compose;
mod config;
mod continuity;
mod cpu;
mod deny;
mod directories;
mod engine;
mod headers;
mod instances;
mod linger;
mod metrics;
mod networks;
mod outbound;
mod output;
mod server;
mod space;
mod spin;
mod sqlite;
mod state;
mod tls;
mod turns;
mod variables;
mod warnings;

use crate::commands::Failure;
use app::App;
use compose::{Need, need_of};
use config::RuntimeConfig;
use instances::Instances;
pub use instances::Lifetime;
use metrics::Metrics;
use outbound::Network;
use space::StoreFiles;
use sqlite::Databases;
use state::{Grants, GuestState};
use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tls::Tls;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use vouchsafe_manifest::{Capability, Manifest, Resolved};
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::p3::bindings::ServicePre;

/// Read from the current directory.
const DOTENV: &str = ".env";
/// Where the bundle is mounted, and what `--policies` replaces.
const POLICIES: &str = "/policies";
/// Where issuer files' `bearer_file` is read.
const CREDENTIALS: &str = "/credentials";
/// Asked once before the first connection is accepted.
const READY: &str = "/readyz";

/// How long a start may take without a word.
const QUIET: Duration = Duration::from_millis(500);

/// Everything that `serve` was told.
pub struct Options {
    pub manifest: PathBuf,
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    pub policies: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub cache_dir: Option<PathBuf>,
    pub runtime_config: Option<PathBuf>,
    pub variables: Vec<String>,
    pub danger_now: Option<u64>,
    pub lifetime: Lifetime,
}

/// Runs the application until SIGTERM or SIGINT, then drains.
pub async fn run(options: Options) -> Result<(), Failure> {
    clock::require_set(std::time::SystemTime::now())?;
    if let Some(address) = options
        .metrics_listen
        .filter(|it| networks::is_public(it.ip()))
    {
        return Err(Failure::usage(format!(
            "--metrics-listen is {address}, which is a public address: metrics need no credential"
        ))
        .hint("use an address of loopback or of a private network"));
    }
    let app = Arc::new(load(&options)?);
    let listener = bind(options.listen, "--listen").await?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::refused(error.to_string()))?;
    if let Some(metrics) = options.metrics_listen {
        let listener = bind(metrics, "--metrics-listen").await?;
        let address = listener
            .local_addr()
            .map_err(|error| Failure::refused(error.to_string()))?;
        eprintln!("serve: metrics at http://{address}/metrics");
        tokio::spawn(server::serve_metrics(Arc::clone(&app), listener));
    }
    // ORDER: signals are caught before the address is announced, so that whoever read it can stop us.
    let stop = stop_signal()?;
    if let Err(failure) = check_ready(&app, address).await {
        app.metrics.draining.store(true, Relaxed);
        return Err(failure);
    }
    println!("listening on http://{address}");
    server::serve(app, listener, stop).await;
    Ok(())
}

fn load(options: &Options) -> Result<App, Failure> {
    let runtime = options
        .runtime_config
        .as_deref()
        .map_or_else(|| Ok(RuntimeConfig::default()), RuntimeConfig::read)?;
    let manifest = read_manifest(&options.manifest)?;
    let base = options.manifest.parent().unwrap_or(Path::new(""));
    let resolved = resolve(&manifest, options)?;
    let policies = options.policies.as_deref();
    let lacking = warnings::warnings(&options.manifest, &manifest, policies, &resolved);
    let readable = variables::warnings(&manifest, &options.variables, Path::new(DOTENV));
    for warning in lacking.iter().chain(&readable) {
        eprintln!("{warning}");
    }
    let state_dir = options
        .state_dir
        .clone()
        .or(runtime.state_dir.clone())
        .unwrap_or_else(|| PathBuf::from(".state"));
    let grants = grants(&manifest, resolved, options, &runtime, base, &state_dir)?;
    keep_store_alive(&manifest, &grants)?;
    let composite = compose::compose(&manifest, base)?;
    let cache = options
        .cache_dir
        .clone()
        .unwrap_or_else(|| directories::cache_directory(&state_dir));
    let engine = engine::new(&cache)?;
    let failed = |error: wasmtime::Error| {
        Failure::usage(format!("the application does not load: {error:#}"))
    };
    let linker = link(&engine, &manifest, &composite.imports)?;
    let component = progress(|| Component::from_binary(&engine, &composite.bytes));
    let component = component.map_err(failed)?;
    let pre = linker
        .instantiate_pre(&component)
        .and_then(ServicePre::new)
        .map_err(failed)?;
    engine::start_epochs(&engine).map_err(|error| Failure::refused(error.to_string()))?;
    let metrics = Arc::clone(&grants.network.metrics);
    Ok(App::new(Instances {
        engine,
        pre,
        grants,
        lifetime: options.lifetime,
        metrics,
    }))
}

/// Tells a person at a terminal why the first start takes a while; one with compiled code in the
/// cache is over before that.
fn progress<T>(compile: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return compile();
    }
    let (done, wait) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if wait.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                eprintln!("serve: compiling the components, which later starts need not");
            }
        });
        let compiled = compile();
        drop(done);
        compiled
    })
}

fn read_manifest(path: &Path) -> Result<Manifest, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("--manifest names the spin.toml to serve")
    })?;
    Manifest::parse(&text).map_err(|error| {
        let place = error.position().map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        Failure::usage(format!("{}{place}: {error}", path.display()))
            .hint("`vouchsafe serve` knows the part of Spin's manifest that this application uses, and refuses the rest")
    })
}

fn resolve(manifest: &Manifest, options: &Options) -> Result<Resolved, Failure> {
    let values = variables::collect(manifest, &options.variables, Path::new(DOTENV))?;
    let resolved = manifest.resolve(&values).map_err(|error| {
        Failure::usage(error.to_string())
            .hint("give it by --variable NAME=VALUE, SPIN_VARIABLE_NAME or .env; `scripts/dev-env` writes one for local work")
    })?;
    let development = resolved
        .application_variables
        .get("development")
        .map(String::as_str)
        == Some("true");
    if options.danger_now.is_some() && !development {
        return Err(Failure::usage(
            "--danger-now moves the clock of every check, and needs variable `development` to be true",
        ));
    }
    Ok(resolved)
}

fn grants(
    manifest: &Manifest,
    resolved: Resolved,
    options: &Options,
    runtime: &RuntimeConfig,
    base: &Path,
    state_dir: &Path,
) -> Result<Grants, Failure> {
    let root = manifest
        .root()
        .map_err(|error| Failure::usage(error.to_string()))?;
    let network = Network {
        allowed: resolved.allowed_outbound_hosts,
        blocked: runtime.blocked_networks()?,
        tls: Tls::new(&runtime.client_tls, manifest.root_id())?,
        metrics: Arc::new(Metrics::default()),
    };
    if !root.sqlite_databases.is_empty() {
        directories::private_directory(state_dir)?;
    }
    let paths = runtime.database_paths(&root.sqlite_databases, state_dir)?;
    let databases = Databases::open(&paths).map_err(|error| {
        Failure::refused(format!(
            "the database in {} does not open: {error}",
            state_dir.display()
        ))
    })?;
    Ok(Grants {
        variables: Arc::new(resolved.variables),
        environment: resolved.environment,
        files: mounts(root, options.policies.as_deref(), base, state_dir)?,
        databases: Arc::new(databases),
        network: Arc::new(network),
        clock: clock::Clock::new(options.danger_now),
    })
}

/// Where the application has a store.
fn keep_store_alive(manifest: &Manifest, grants: &Grants) -> Result<(), Failure> {
    let root = manifest
        .root()
        .map_err(|error| Failure::usage(error.to_string()))?;
    match grants.databases.get(continuity::LABEL) {
        Ok(database) if continuity::has_store(root) => {
            let files = Arc::new(StoreFiles::of(database.0.path.clone()));
            let metrics = &grants.network.metrics;
            let files = metrics.store.get_or_init(|| files);
            continuity::start(database, Arc::clone(files), grants.clock)
        }
        // A store without its database says so itself, once it is asked.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn mounts(
    root: &vouchsafe_manifest::Component,
    policies: Option<&Path>,
    base: &Path,
    state_dir: &Path,
) -> Result<Vec<(PathBuf, String)>, Failure> {
    if policies.is_some() && !root.files.iter().any(|mount| mount.destination == POLICIES) {
        return Err(Failure::usage(format!(
            "--policies replaces the files at {POLICIES}, and the manifest mounts none"
        )));
    }
    let mount = |mount: &vouchsafe_manifest::FileMount| {
        let source = match policies {
            Some(directory) if mount.destination == POLICIES => directory.to_path_buf(),
            _ => base.join(&mount.source),
        };
        if !source.is_dir() {
            let message = format!("{} is not a directory", source.display());
            return Err(Failure::usage(message));
        }
        let source = match mount.destination.as_str() {
            POLICIES => {
                let mounted =
                    |mount: &vouchsafe_manifest::FileMount| mount.destination == CREDENTIALS;
                bundle::pinned(&source, state_dir, root.files.iter().any(mounted))?
            }
            _ => source,
        };
        Ok((source, mount.destination.clone()))
    };
    root.files.iter().map(mount).collect()
}

/// Offers the composite what it imports and the manifest grants.
fn link(
    engine: &wasmtime::Engine,
    manifest: &Manifest,
    imports: &BTreeSet<String>,
) -> Result<Linker<GuestState>, Failure> {
    let mut linker = Linker::new(engine);
    let mut link = || -> wasmtime::Result<()> {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::bindings::http::types::add_to_linker::<
            _,
            wasmtime_wasi_http::WasiHttp,
        >(&mut linker, wasmtime_wasi_http::WasiHttpView::http)
    };
    let failed =
        |error: wasmtime::Error| Failure::usage(format!("the host does not link: {error:#}"));
    link().map_err(failed)?;
    let root = manifest
        .root()
        .map_err(|error| Failure::usage(error.to_string()))?;
    for import in imports {
        let Need::Granted(capability) = need_of(import) else {
            continue;
        };
        let (granted, added) = match capability {
            Capability::Variables => (true, spin::add_variables(&mut linker)),
            Capability::SqliteDatabases => (
                !root.sqlite_databases.is_empty(),
                spin::add_sqlite(&mut linker),
            ),
            Capability::AllowedOutboundHosts => (
                !manifest.allowed_outbound_hosts().is_empty(),
                wasmtime_wasi_http::p3::bindings::http::client::add_to_linker::<
                    _,
                    wasmtime_wasi_http::WasiHttp,
                >(&mut linker, wasmtime_wasi_http::WasiHttpView::http),
            ),
            Capability::Environment | Capability::Files => (true, Ok(())),
        };
        if !granted {
            return Err(Failure::usage(format!(
                "component `{}` imports `{import}` and has no `{}`",
                manifest.root_id(),
                capability.name()
            )));
        }
        added.map_err(failed)?;
    }
    Ok(linker)
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::refused(format!("{address}: {error}")).hint(format!(
            "another process may have the port: choose one with {flag}"
        ))
    })
}

/// One request before any client's: it makes the first instance, which opens the store and loads
/// the bundle. What is not ready is not served.
async fn check_ready(app: &App, address: SocketAddr) -> Result<(), Failure> {
    let answer = app.ask(READY, &address.to_string()).await;
    let why = match answer {
        Ok((status, body)) if status.is_success() => {
            for warning in warnings::of_ready(&body) {
                eprintln!("warning: {warning}");
            }
            return Ok(());
        }
        Ok((status, body)) => format!(
            "{READY} answered {status}: {}",
            String::from_utf8_lossy(&body).trim()
        ),
        Err(error) => format!("{READY} failed: {error}"),
    };
    Err(
        Failure::refused(format!("the application is not ready: {why}"))
            .hint("its own lines above say why"),
    )
}

fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::refused(format!("signals: {error}")));
    let (mut terminate, mut interrupt) = (
        listen(SignalKind::terminate())?,
        listen(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
