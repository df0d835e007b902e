//! Options of commands that read what `serve` reads, and start nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use vouchsafe_host::{CryptoPlace, Lifetime, Options, StorePlace};

/// Where manifest, variables, bundle and database are.
#[derive(clap::Args)]
pub struct ApplicationArgs {
    /// The application manifest
    #[arg(long, value_name = "FILE", default_value = "spin.toml")]
    manifest: PathBuf,
    /// Bundle to check instead of the manifest's
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Directory of the database [default: the runtime config's state_dir, else .state]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Value of a variable, or a file that contains it
    #[arg(long = "variable", value_name = "NAME=VALUE|NAME=@FILE")]
    variables: Vec<String>,
    /// Spin's runtime config: client_tls, block_networks, SQLite paths
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,
}

impl ApplicationArgs {
    pub fn options(self) -> Options {
        Options {
            manifest: self.manifest,
            policies: self.policies,
            state_dir: self.state_dir,
            runtime_config: self.runtime_config_file,
            variables: self.variables,
            environment: Vec::new(),
            // Nothing listens, and no component runs.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            metrics_listen: None,
            spans: None,
            components: None,
            cache_dir: None,
            danger_now: None,
            perf_map: false,
            lifetime: Lifetime {
                requests_max: 1,
                concurrent_max: 1,
                idle_max: Duration::ZERO,
                request_timeout: Duration::ZERO,
                cpu_deadline: Duration::ZERO,
            },
            wait_ready: Duration::ZERO,
            check_variables: super::serve::variable_faults,
            warn: |_| {},
            keys: |_| Vec::new(),
            compiled: || {},
            crypto: CryptoPlace::Host,
            store: StorePlace::Host,
        }
    }
}
