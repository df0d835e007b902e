//! The application to run: its manifest, the values of its variables, and the options of the host.

use crate::clock;
use crate::compose::CryptoPlace;
use crate::config::RuntimeConfig;
use crate::error::HostError;
use crate::instances::Lifetime;
use crate::networks;
use crate::variables;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use vouchsafe_manifest::{Manifest, Resolved};

/// Read from the current directory.
const DOTENV: &str = ".env";

/// How to run an application.
pub struct Options {
    pub manifest: PathBuf,
    pub listen: SocketAddr,
    pub metrics_listen: Option<SocketAddr>,
    /// A bundle to mount in place of the manifest's.
    pub policies: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub cache_dir: Option<PathBuf>,
    pub runtime_config: Option<PathBuf>,
    /// `NAME=VALUE` or `NAME=@FILE`.
    pub variables: Vec<String>,
    /// Where the guests' clock starts, in Unix seconds.
    pub danger_now: Option<u64>,
    pub lifetime: Lifetime,
    pub crypto: CryptoPlace,
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

    /// Warnings about files that hold a secret variable and are readable by other users, one text per file.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        variables::warnings(&self.manifest, &self.options.variables, Path::new(DOTENV))
    }

    /// The directory of the manifest, to which its paths are relative.
    #[must_use]
    pub fn base(&self) -> &Path {
        self.options.manifest.parent().unwrap_or(Path::new(""))
    }
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
    let values = variables::collect(manifest, &options.variables, Path::new(DOTENV))?;
    let resolved = manifest.resolve(&values).map_err(|error| {
        HostError::configuration(error.to_string())
            .hint("set variables with --variable NAME=VALUE, SPIN_VARIABLE_NAME or .env; `scripts/dev-env` writes a .env for local work")
    })?;
    let development = resolved.application_variables.get("development").map(String::as_str) == Some("true");
    if options.danger_now.is_some() && !development {
        return Err(HostError::configuration(
            "--danger-now changes the time of every check and requires the variable `development` to be `true`",
        ));
    }
    Ok(resolved)
}
