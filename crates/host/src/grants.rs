//! What the manifest and the runtime config grant the application.

use crate::application::Application;
use crate::bundle::{self, CREDENTIALS, POLICIES};
use crate::clock::Clock;
use crate::continuity;
use crate::directories::private_directory;
use crate::error::HostError;
use crate::metrics::Metrics;
use crate::outbound::Network;
use crate::space::StoreFiles;
use crate::sqlite::Databases;
use crate::state::Grants;
use crate::tls::Tls;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vouchsafe_manifest::{Component, FileMount};

/// Opens the databases, copies the bundle, and collects what guests may use.
pub fn grants(application: &Application, state_dir: &Path) -> Result<Grants, HostError> {
    let Application { options, manifest, resolved, runtime } = application;
    let root = manifest.root().map_err(|error| HostError::configuration(error.to_string()))?;
    let network = network(application)?;
    if !root.sqlite_databases.is_empty() {
        private_directory(state_dir)?;
    }
    let paths = runtime.database_paths(&root.sqlite_databases, state_dir)?;
    let databases = Databases::open(&paths)
        .map_err(|error| HostError::startup(format!("cannot open the database in {}: {error}", state_dir.display())))?;
    let policies = options.policies.as_deref();
    let grants = Grants {
        variables: Arc::new(resolved.variables.clone()),
        environment: resolved.environment.clone(),
        files: mounts(root, policies, application.base(), state_dir)?,
        databases: Arc::new(databases),
        network: Arc::new(network),
        clock: Clock::new(options.danger_now),
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
        tls: Tls::new(&runtime.client_tls, manifest.root_id())?,
        metrics: Arc::new(Metrics::default()),
    })
}

/// Starts the background work of the store, if the application has one.
fn keep_store_alive(root: &Component, grants: &Grants) -> Result<(), HostError> {
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

fn mounts(
    root: &Component,
    policies: Option<&Path>,
    base: &Path,
    state_dir: &Path,
) -> Result<Vec<(PathBuf, String)>, HostError> {
    let has_mount = |destination: &str| {
        let mut mounts = root.files.iter();
        mounts.any(|mount| mount.destination == destination)
    };
    if policies.is_some() && !has_mount(POLICIES) {
        return Err(HostError::configuration(format!(
            "--policies replaces the files at {POLICIES}, but the manifest mounts none there"
        )));
    }
    let mount = |mount: &FileMount| {
        let source = match policies {
            Some(directory) if mount.destination == POLICIES => directory.to_path_buf(),
            _ => base.join(&mount.source),
        };
        if !source.is_dir() {
            let message = format!("{} is not a directory", source.display());
            return Err(HostError::configuration(message));
        }
        let source = match mount.destination.as_str() {
            POLICIES => bundle::copy(&source, state_dir, has_mount(CREDENTIALS))?,
            _ => source,
        };
        Ok((source, mount.destination.clone()))
    };
    root.files.iter().map(mount).collect()
}
