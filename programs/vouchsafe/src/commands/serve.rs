//! `vouchsafe serve`: runs the standalone host.

mod traces;
mod variables;
mod warnings;

pub(super) use variables::faults as variable_faults;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use vouchsafe_cli::Failure;
use vouchsafe_host::{Application, CryptoPlace, ErrorKind, HostError, KeyTimes, Lifetime, Options, StorePlace};

/// Run the broker without Spin
///
/// Reads the same spin.toml as Spin, composes the same components and grants what the manifest grants.
/// Prints `listening on http://ADDRESS` when it is ready, and log lines to standard error. On SIGTERM
/// or SIGINT, it finishes the requests in flight and exits. On SIGHUP, it reads the bundle again and
/// uses it if it is valid. It speaks plain HTTP: put a reverse proxy with TLS in front of it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe serve    # in a folder of `vouchsafe init`, or in a source checkout after scripts/dev-env\n  vouchsafe serve --policies /etc/vouchsafe/policies \\\n    --variable issuer=https://broker.example --variable signer_root=@/run/secrets/root\n\nVariables: --variable, then SPIN_VARIABLE_<NAME>, then .env, then the manifest's defaults.\nProxy: HTTPS_PROXY and NO_PROXY apply to outbound https.\nExit codes: 0 stopped by a signal, 1 not ready or address in use, 2 the command line, a variable or a file is wrong."
)]
pub struct Args {
    /// The application manifest
    #[arg(long, value_name = "FILE", default_value = "spin.toml")]
    manifest: PathBuf,
    /// Address to listen on; port 0 chooses a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Folder with the components [default: the manifest's, else this release's]
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    /// Bundle to mount instead of the manifest's
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Directory of the database [default: the runtime config's state_dir, else .state]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Directory of compiled components [default: vouchsafe in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Value of a variable, or a file that contains it
    #[arg(long = "variable", value_name = "NAME=VALUE|NAME=@FILE")]
    variables: Vec<String>,
    /// Value of the manifest's `environment`, such as the address of a PostgreSQL database, or a file that contains it
    #[arg(long = "env", value_name = "NAME=VALUE|NAME=@FILE")]
    environment: Vec<String>,
    /// Spin's runtime config: client_tls, block_networks, SQLite paths
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,
    /// Address to serve Prometheus metrics on, at /metrics
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<SocketAddr>,
    /// Receiver of traces, by OTLP over HTTP: its URL without /v1/traces
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// Keep trying for this long until the broker is ready, such as 60s or 5m
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    wait_ready: Duration,
    /// Start the components' clock at this time, in Unix seconds; development mode only
    #[arg(long, value_name = "UNIX")]
    danger_now: Option<u64>,
    /// Replace an instance after this many requests, which frees its memory
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_instance_reuse_count: usize,
    /// Maximum number of concurrent requests in one instance
    #[arg(long, value_name = "N", default_value_t = 16)]
    max_instance_concurrent_reuse_count: usize,
    /// Drop an instance that was idle for this long
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    idle_instance_timeout: u64,
    /// Answer a request with 503 after this long
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    request_timeout_ms: u64,
    /// Terminate an instance that computes for this long without a pause
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    cpu_deadline_ms: u64,
    /// Verify and make signatures in the components too, in WebAssembly, which takes several times as long
    #[arg(long)]
    wasm_crypto: bool,
    /// Run the store's component too, instead of the host's own store on SQLite, which takes less time
    #[arg(long)]
    wasm_store: bool,
    /// Write /tmp/perf-PID.map, with which `perf report` names the components' functions
    #[arg(long)]
    perf_map: bool,
}

/// `keys` finds the keys of the application, for metrics.
pub fn run(args: Args, keys: fn(&Application) -> Vec<KeyTimes>) -> Result<ExitCode, Failure> {
    vouchsafe_cli::run(serve(args.options(keys)?)).map(|()| ExitCode::SUCCESS)
}

async fn serve(options: Options) -> Result<(), Failure> {
    let application = Application::read(options).map_err(failure)?;
    for warning in application.warnings() {
        eprintln!("{warning}");
    }
    let Some(host) = application.start().await.map_err(failure)? else {
        return Ok(());
    };
    for warning in warnings::of_ready(host.ready()) {
        eprintln!("warning: {warning}");
    }
    println!("listening on http://{}", host.address());
    host.serve().await;
    Ok(())
}

/// Prints warnings about the bundle that was just read.
fn warn(application: &Application) {
    let Application { options, manifest, resolved, .. } = application;
    for warning in warnings::warnings(&options.manifest, manifest, options.policies.as_deref(), resolved) {
        eprintln!("{warning}");
    }
    for exposed in application.exposed() {
        eprintln!("warning: {}\nhint: {}", exposed.message, exposed.fix);
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let seconds = vouchsafe_policy::parse_duration_seconds(text);
    seconds.map(Duration::from_secs).ok_or_else(|| "must be a duration such as 60s or 5m".to_owned())
}

pub(super) fn failure(error: HostError) -> Failure {
    let failure = match error.kind {
        ErrorKind::Configuration => Failure::usage(error.message),
        ErrorKind::Startup => Failure::refused(error.message),
    };
    match error.hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

impl Args {
    fn options(self, keys: fn(&Application) -> Vec<KeyTimes>) -> Result<Options, Failure> {
        if self.max_instance_reuse_count == 0 || self.max_instance_concurrent_reuse_count == 0 {
            return Err(Failure::usage(
                "--max-instance-reuse-count and --max-instance-concurrent-reuse-count must be at least 1",
            ));
        }
        let lifetime = Lifetime {
            requests_max: self.max_instance_reuse_count,
            concurrent_max: self.max_instance_concurrent_reuse_count,
            idle_max: Duration::from_secs(self.idle_instance_timeout),
            request_timeout: Duration::from_millis(self.request_timeout_ms),
            cpu_deadline: Duration::from_millis(self.cpu_deadline_ms),
        };
        Ok(Options {
            manifest: self.manifest,
            listen: self.listen,
            metrics_listen: self.metrics_listen,
            spans: self.otlp_endpoint.as_deref().map(traces::start).transpose()?,
            components: self.components,
            policies: self.policies,
            state_dir: self.state_dir,
            cache_dir: self.cache_dir,
            runtime_config: self.runtime_config_file,
            variables: self.variables,
            environment: self.environment,
            danger_now: self.danger_now,
            lifetime,
            wait_ready: self.wait_ready,
            check_variables: variable_faults,
            warn,
            keys,
            perf_map: self.perf_map,
            compiled: crate::allocator::give_memory_back,
            crypto: if self.wasm_crypto { CryptoPlace::Wasm } else { CryptoPlace::Host },
            store: if self.wasm_store { StorePlace::Wasm } else { StorePlace::Host },
        })
    }
}
