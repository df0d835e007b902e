//! The application to run: its manifest, the values of its variables, and the options of the host.

use crate::bundle::POLICIES;
use crate::clock;
use crate::components::{CryptoPlace, StorePlace};
use crate::config::RuntimeConfig;
use crate::directories;
use crate::error::HostError;
use crate::instances::Lifetime;
use crate::key_times::KeyTimes;
use crate::networks;
use crate::spans::Spans;
use crate::variables;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use vouchsafe_manifest::{Manifest, ManifestError, Resolved};

const VARIABLES_HINT: &str = "set variables with --variable NAME=VALUE, --variable NAME=@FILE, SPIN_VARIABLE_NAME or .env; `vouchsafe init` writes a manifest and a .env, and so does `scripts/dev-env` in a source checkout";
/// Read from the current directory.
pub(crate) const DOTENV: &str = ".env";

/// How to run an application.
pub struct Options {
    pub manifest: PathBuf,
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    /// Where exchanges are queued for an exporter.
    pub spans: Option<Spans>,
    /// A folder with the components, in place of the folders that the manifest names.
    pub components: Option<PathBuf>,
    /// A bundle to mount in place of the manifest's.
    pub policies: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub cache_dir: Option<PathBuf>,
    pub runtime_config: Option<PathBuf>,
    /// `NAME=VALUE` or `NAME=@FILE`.
    pub variables: Vec<String>,
    /// `NAME=VALUE` or `NAME=@FILE`, for the manifest's `environment`.
    pub environment: Vec<String>,
    /// Where the guests' clock starts, in Unix seconds.
    pub danger_now: Option<u64>,
    pub lifetime: Lifetime,
    /// How long to wait until the application is ready.
    pub wait_ready: Duration,
    /// What is wrong with the values of the manifest's variables.
    pub check_variables: fn(&Manifest, &BTreeMap<String, String>) -> Vec<String>,
    /// Called whenever a bundle was read.
    pub warn: fn(&Application),
    /// Called when the components were compiled, which takes far more memory than running them.
    pub compiled: fn(),
    /// Keys of the application, for metrics; called whenever a bundle was read.
    pub keys: fn(&Application) -> Vec<KeyTimes>,
    pub crypto: CryptoPlace,
    pub store: StorePlace,
    /// Whether to write a map of the compiled code for `perf`.
    pub perf_map: bool,
}

/// An application with its manifest and the values of its variables.
pub struct Application {
    pub options: Options,
    pub manifest: Manifest,
    pub resolved: Resolved,
    pub(crate) runtime: RuntimeConfig,
}

impl Application {
    /// Reads the manifest, the runtime config and the values of the variables.
    pub fn read(options: Options) -> Result<Self, HostError> {
        clock::require_set(SystemTime::now())?;
        if let Some(address) = options.metrics_listen.filter(|address| networks::is_public(address.ip())) {
            return Err(HostError::configuration(format!(
                "--metrics-listen {address} is a public address, and metrics require no credential"
            ))
            .hint("use a loopback address or one of a private network"));
        }
        let runtime =
            options.runtime_config.as_deref().map_or_else(|| Ok(RuntimeConfig::default()), RuntimeConfig::read)?;
        let manifest = read_manifest(&options.manifest)?;
        let resolved = resolve(&manifest, &options)?;
        Ok(Self { options, manifest, resolved, runtime })
    }

    /// Warnings about names that look like misspelled variables, and about files that hold a secret and are readable
    /// by other users.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let dotenv = Path::new(DOTENV);
        let mut warnings = variables::misspelled(&self.manifest, dotenv);
        warnings.extend(variables::warnings(&self.manifest, &self.options.variables, dotenv));
        let keys = self.runtime.client_tls.iter().filter_map(|tls| tls.client_private_key_file.as_deref());
        warnings.extend(keys.filter_map(|path| variables::readable_warning(path, "a private key")));
        let addresses = self.options.environment.iter().filter_map(|flag| flag.split_once("=@"));
        let warning = |(name, path): (&str, &str)| {
            variables::readable_warning(Path::new(path), &format!("the value of `{name}`"))
        };
        warnings.extend(addresses.filter_map(warning));
        warnings
    }

    /// The files of certificates in the runtime config: of clients, and of authorities.
    #[must_use]
    pub fn certificate_files(&self) -> Vec<PathBuf> {
        let files = self.runtime.client_tls.iter().flat_map(|tls| [&tls.client_cert_file, &tls.ca_roots_file]);
        files.flatten().cloned().collect()
    }

    /// Whether the variable `development` is `true`.
    pub(crate) fn is_development(&self) -> bool {
        is_development(&self.resolved)
    }

    /// The directory of the database and of the copies of bundles.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        let configured = self.options.state_dir.as_ref().or(self.runtime.state_dir.as_ref());
        configured.cloned().unwrap_or_else(|| PathBuf::from(".state"))
    }

    /// The directory that is mounted at `destination`.
    #[must_use]
    pub fn mounted(&self, destination: &str) -> Option<PathBuf> {
        match &self.options.policies {
            Some(policies) if destination == POLICIES => Some(policies.clone()),
            _ => {
                let mut mounts = self.manifest.files().iter();
                let mount = mounts.find(|mount| mount.destination == destination)?;
                Some(self.base().join(&mount.source))
            }
        }
    }

    /// Checks that the directory of the database can be made or used, and that nobody else can write to it; returns the
    /// free bytes of its file system.
    pub fn check_state_dir(&self) -> Result<u64, HostError> {
        directories::check(&self.state_dir())
    }

    /// The directory of the manifest, to which its paths are relative.
    #[must_use]
    pub fn base(&self) -> &Path {
        self.options.manifest.parent().unwrap_or(Path::new(""))
    }
}

fn is_development(resolved: &Resolved) -> bool {
    resolved.application_variables.get("development").map(String::as_str) == Some("true")
}

fn read_manifest(path: &Path) -> Result<Manifest, HostError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        HostError::configuration(format!("{}: {error}", path.display()))
            .hint("set --manifest to the spin.toml to serve")
    })?;
    Manifest::parse(&text).map_err(|error| {
        let place = error.position().map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        HostError::configuration(format!("{}{place}: {error}", path.display()))
            .hint("`vouchsafe serve` supports only the part of Spin's manifest that this application uses")
    })
}

fn resolve(manifest: &Manifest, options: &Options) -> Result<Resolved, HostError> {
    let collected = variables::collect(manifest, &options.variables, Path::new(DOTENV));
    let mut resolved = manifest.resolve(&collected.values);
    let errors: &[ManifestError] = resolved.as_ref().err().map_or(&[], Vec::as_slice);
    let mut faults = collected.faults.clone();
    faults.extend(errors.iter().filter_map(|error| collected.explain(manifest, error)));
    faults.extend((options.check_variables)(manifest, &manifest.values(&collected.values)));
    if let Ok(resolved) = &mut resolved {
        faults.extend(variables::override_environment(&mut resolved.environment, &options.environment));
    }
    // Without a resolved manifest, there is a fault.
    let resolved = match resolved {
        Ok(resolved) if faults.is_empty() => resolved,
        _ => return Err(HostError::configuration(faults.join("\nerror: ")).hint(VARIABLES_HINT)),
    };
    if options.danger_now.is_some() && !is_development(&resolved) {
        return Err(HostError::configuration(
            "--danger-now changes the time of every check and requires the variable `development` to be `true`",
        ));
    }
    Ok(resolved)
}
