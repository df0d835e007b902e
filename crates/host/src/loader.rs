//! The application with one bundle, and everything that is needed to load it again with another one.

use crate::application::Application;
use crate::application_log::ApplicationLog;
use crate::components::Components;
use crate::compose;
use crate::directories;
use crate::engine;
use crate::error::HostError;
use crate::grants::{self, Mounts};
use crate::instances::Instances;
use crate::key_times::KeyTimes;
use crate::lanes::Lanes;
use crate::link::link;
use crate::metrics::Metrics;
use crate::state::{Grants, GuestState};
use crate::store::HostStore;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::sync::watch;
use vouchsafe_serve::log;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wasi_http::p3::bindings::ServicePre;

/// Requested before the first request of a client.
const READY: &str = "/readyz";
/// Time after which a slow start is explained.
const QUIET: Duration = Duration::from_millis(500);
/// Attempts to make the images of memories, and the time between them.
const IMAGE_ATTEMPTS: u32 = 20;
const IMAGE_RETRY_AFTER: Duration = Duration::from_millis(50);

/// The compiled application and its grants, without a bundle.
pub struct Loader {
    pub application: Application,
    pub metrics: Arc<Metrics>,
    engine: Engine,
    pre: ServicePre<GuestState>,
    grants: Grants,
}

/// The application with one bundle. Requests in flight keep its instances alive; idle instances end soon after this is
/// dropped.
pub struct Loaded {
    pub lanes: Arc<Lanes>,
    /// Digest of the bundle, if one is mounted.
    pub digest: Option<String>,
    pub keys: Vec<KeyTimes>,
    log: Arc<ApplicationLog>,
    _in_use: watch::Sender<()>,
}

impl Loader {
    /// Composes and compiles the application, and opens its databases.
    pub fn new(application: Application) -> Result<Self, HostError> {
        let mut grants = grants::grants(&application)?;
        let Application { options, manifest, .. } = &application;
        let composite = compose::compose(
            manifest,
            &Components::new(application.base(), options.components.as_deref(), options.crypto, options.store),
        )?;
        let cache = options.cache_dir.clone();
        let cache = cache.unwrap_or_else(|| directories::cache_directory(&application.state_dir()));
        let engine = engine::new(&cache, options.perf_map)?;
        let failed =
            |error: wasmtime::Error| HostError::configuration(format!("cannot load the application: {error:#}"));
        let linker = link(&engine, manifest, &composite, options.crypto)?;
        if let Some(label) = &composite.host_store {
            let database = grants.databases.get(label).map_err(|error| HostError::configuration(error.to_string()))?;
            grants.store = Some(Arc::new(HostStore::new(database, grants.clock)));
        }
        let component = report_progress(|| compile(&engine, &composite.bytes));
        let component = component.map_err(failed)?;
        drop(composite.bytes);
        (options.compiled)();
        make_memory_images(&component).map_err(failed)?;
        let pre = linker.instantiate_pre(&component).and_then(ServicePre::new).map_err(failed)?;
        engine::start_epochs(&engine).map_err(|error| HostError::startup(error.to_string()))?;
        let metrics = Arc::clone(&grants.network.metrics);
        if let Some(spans) = &application.options.spans {
            drop(metrics.spans.set(Arc::clone(spans.counts())));
        }
        Ok(Self { application, metrics, engine, pre, grants })
    }

    /// Makes the application with the bundle in `mounts`. Nothing runs before the first request.
    pub fn load(&self, mounts: Mounts) -> Loaded {
        let (digest, names) = mounts.bundle.map(|bundle| (bundle.digest, bundle.names)).unzip();
        let spans = self.application.options.spans.clone();
        let log = Arc::new(ApplicationLog::new(names.unwrap_or_default(), Arc::clone(&self.metrics), spans));
        let (in_use, until_dropped) = watch::channel(());
        let lanes = Lanes::new(&Instances {
            engine: self.engine.clone(),
            pre: self.pre.clone(),
            grants: Grants { files: mounts.files, log: Arc::clone(&log), ..self.grants.clone() },
            lifetime: self.application.options.lifetime,
            metrics: Arc::clone(&self.metrics),
            in_use: until_dropped,
        });
        Loaded { lanes: Arc::new(lanes), digest, keys: mounts.keys, log, _in_use: in_use }
    }
}

impl Loaded {
    /// Sends one request before any client does, and returns the body of the answer. It creates the first instance,
    /// which opens the store and loads the bundle, so that an application that isn't ready is never served.
    pub async fn check_ready(&self, authority: &str) -> Result<Vec<u8>, HostError> {
        let why = match self.lanes.get(READY, authority).await {
            Ok((status, body)) if status.is_success() => return Ok(body.into()),
            Ok((status, body)) => self
                .log
                .take_unready()
                .unwrap_or_else(|| format!("{READY} answered {status}: {}", String::from_utf8_lossy(&body).trim())),
            Err(error) => format!("{READY} failed: {error}"),
        };
        Err(HostError::startup(format!("the application is not ready: {why}")).hint("the log lines above may say more"))
    }
}

/// Compiles on threads that end afterwards, so that the allocator gives back what they used.
fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
    let threads = rayon::ThreadPoolBuilder::new().build().map_err(wasmtime::Error::new)?;
    threads.install(|| Component::from_binary(engine, bytes))
}

/// Makes the images from which the memories of instances start, which otherwise happens in the first request.
///
/// The kernel refuses to seal an image (`EBUSY`, fcntl(2)) while it works on the image's pages, as it may at any moment
/// on a busy machine. That passes.
fn make_memory_images(component: &Component) -> wasmtime::Result<()> {
    for _ in 1..IMAGE_ATTEMPTS {
        if component.initialize_copy_on_write_image().is_ok() {
            return Ok(());
        }
        std::thread::sleep(IMAGE_RETRY_AFTER);
    }
    component.initialize_copy_on_write_image()
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
