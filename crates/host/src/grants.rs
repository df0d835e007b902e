//! What the manifest and the runtime config grant the application.

use crate::application::Application;
use crate::application_log::ApplicationLog;
use crate::bundle::{self, BundleCopy, CREDENTIALS, POLICIES};
use crate::clock::Clock;
use crate::continuity;
use crate::directories::private_directory;
use crate::error::HostError;
use crate::key_times::KeyTimes;
use crate::metrics::Metrics;
use crate::outbound::{LogLines, Network};
use crate::postgres::{self, Pools};
use crate::proxy::Proxy;
use crate::space::StoreFiles;
use crate::sqlite::Databases;
use crate::state::Grants;
use crate::tls::Tls;
use std::path::PathBuf;
use std::sync::Arc;
use vouchsafe_manifest::{Component, FileMount};
use vouchsafe_serve::log;

/// The directories that guests see.
pub struct Mounts {
    /// Directories on this machine and the paths at which guests see them.
    pub files: Vec<(PathBuf, String)>,
    /// Present if one of them is a bundle.
    pub bundle: Option<BundleCopy>,
    pub keys: Vec<KeyTimes>,
}

/// Opens the databases and collects what guests may use, except for the files.
pub fn grants(application: &Application) -> Result<Grants, HostError> {
    let Application { options, manifest, resolved, runtime } = application;
    let root = manifest.root().map_err(|error| HostError::configuration(error.to_string()))?;
    let network = network(application)?;
    if let Some(proxy) = network.proxy.shown() {
        log!("serve: outbound https uses the proxy {proxy}, except for loopback and NO_PROXY");
    }
    let state_dir = application.state_dir();
    if !root.sqlite_databases.is_empty() {
        private_directory(&state_dir)?;
    }
    let paths = runtime.database_paths(&root.sqlite_databases, &state_dir)?;
    let databases = Databases::open(&paths)
        .map_err(|error| HostError::startup(format!("cannot open the database in {}: {error}", state_dir.display())))?;
    let network = Arc::new(network);
    let pools = Arc::new(Pools::new(Arc::clone(&network)));
    let grants = Grants {
        variables: Arc::new(resolved.variables.clone()),
        environment: resolved.environment.clone(),
        files: Vec::new(),
        databases: Arc::new(databases),
        store: None,
        postgres: pools,
        network,
        clock: Clock::new(options.danger_now),
        log: Arc::new(ApplicationLog::default()),
    };
    keep_store_alive(root, &grants)?;
    Ok(grants)
}

/// What the application may reach, and how.
pub fn network(application: &Application) -> Result<Network, HostError> {
    let Application { manifest, resolved, runtime, .. } = application;
    Ok(Network {
        allowed: resolved.allowed_outbound_hosts.clone(),
        blocked: runtime.blocked_networks()?,
        proxy: Proxy::from_environment()?,
        tls: Tls::new(&runtime.client_tls, manifest.root_id())?,
        metrics: Arc::new(Metrics::default()),
        lines: LogLines::default(),
    })
}

/// Starts the background work of the store, if the application has one.
fn keep_store_alive(root: &Component, grants: &Grants) -> Result<(), HostError> {
    if let Some(address) = postgres::address_of_store(root, &grants.environment) {
        let pools = Arc::clone(&grants.postgres);
        grants.network.metrics.report_pools(move || pools.status());
        return postgres::keep(Arc::clone(&grants.network), &address);
    }
    match grants.databases.get(continuity::LABEL) {
        Ok(database) if continuity::has_store(root) => {
            let files = Arc::new(StoreFiles::of(database.path.clone()));
            let metrics = &grants.network.metrics;
            let files = metrics.store.get_or_init(|| files);
            continuity::start(database, Arc::clone(files), grants.clock)
        }
        // Without a database, the store itself reports the error when it is used.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Finds the directories of the manifest, and copies the bundle as it is now.
pub fn mounts(application: &Application) -> Result<Mounts, HostError> {
    let Application { options, manifest, .. } = application;
    let has_mount = |destination: &str| {
        let mut mounts = manifest.files().iter();
        mounts.any(|mount| mount.destination == destination)
    };
    if options.policies.is_some() && !has_mount(POLICIES) {
        return Err(HostError::configuration(format!(
            "--policies replaces the files at {POLICIES}, but the manifest mounts none there"
        )));
    }
    let mut mounts = Mounts { files: Vec::new(), bundle: None, keys: Vec::new() };
    for FileMount { source, destination } in manifest.files() {
        let mut source = match &options.policies {
            Some(directory) if destination == POLICIES => directory.clone(),
            _ => application.base().join(source),
        };
        if !source.is_dir() {
            let message = format!("{} is not a directory", source.display());
            return Err(HostError::configuration(message));
        }
        if destination == POLICIES {
            let copy = bundle::copy(&source, &application.state_dir(), has_mount(CREDENTIALS))?;
            source = copy.folder.clone();
            mounts.bundle = Some(copy);
        }
        mounts.files.push((source, destination.clone()));
    }
    application.refuse_exposed()?;
    (options.warn)(application);
    mounts.keys = (options.keys)(application);
    Ok(mounts)
}
