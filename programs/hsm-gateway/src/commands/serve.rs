//! `hsm-gateway serve`.

use super::ConfigFile;
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::pkcs11::protocol::Pkcs11Error;
use crate::pkcs11::{HsmError, LoginRecord};
use crate::server::{self, Side};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use vouchsafe_cli::Failure;
use vouchsafe_cli::clock::DangerClock;

/// Run the gateway
///
/// Prints `listening on https://ADDRESS` once it has all epoch keys that brokers publish; everything else goes to
/// standard error. SIGTERM and SIGINT let requests in flight finish; SIGHUP reopens the log after it was moved away;
/// SIGUSR1 confirms that a clock that was set is correct now. Don't restart it automatically after exit code 2, which
/// includes a refused PIN.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway serve --config /etc/hsm-gateway/gateway.toml\n  hsm-gateway serve --check --config /etc/hsm-gateway/gateway.toml\n\nExit codes: 0 stopped by a signal, or --check found nothing wrong, 1 the PKCS#11 token or `state_dir` cannot be used, or an address is in use, 2 the command line or the configuration is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Check the configuration and all files that it names, then exit; useful before a restart, which loses the seeds
    /// in memory. Does not use the HSM; `doctor` does
    #[arg(long)]
    check: bool,
    /// Start the clock at this time in Unix seconds; development mode only
    #[arg(long, value_name = "UNIX")]
    danger_now: Option<u64>,
    /// Add the seconds in this file to the clock, whenever it is read; development mode only
    #[arg(long, value_name = "FILE")]
    danger_clock: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    vouchsafe_cli::run(serve(args)).map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> Result<(), Failure> {
    let config = args.config.read()?;
    let danger = DangerClock::new(args.danger_now, args.danger_clock);
    if danger.is_some() && !config.development {
        return Err(Failure::usage("--danger-now and --danger-clock need `development = true`"));
    }
    let tls = config.tls.as_ref().map(server::acceptor).transpose()?;
    if args.check {
        return check(&config);
    }
    let (listener, address) = bind(config.listen).await?;
    let metrics_listener = bind_if(config.metrics_listen).await?;
    let admin_listener = bind_if(config.admin_listen).await?;
    let gateway = Gateway::open(config, Clock::new(danger)).await?;
    // ORDER: signals are handled before the address is announced, so that its reader can stop the gateway.
    let stop = vouchsafe_serve::stop_signal().map_err(no_signals)?;
    let mut tasks = JoinSet::new();
    handle_signals(&gateway, &mut tasks)?;
    tasks.spawn(Arc::clone(&gateway).keep_epochs_current());
    let watching = Arc::clone(&gateway);
    tasks.spawn(async move { watching.watch_clock_and_log().await });
    if let Some((listener, address)) = metrics_listener {
        eprintln!("hsm-gateway: metrics at http://{address}/metrics");
        if address.ip().is_unspecified() {
            eprintln!("hsm-gateway: metrics are served on all addresses, without authentication");
        }
        tasks.spawn(server::serve_metrics(Arc::clone(&gateway), listener));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let admin = admin_listener.map(|(listener, address)| {
        eprintln!("hsm-gateway: admins connect to {scheme}://{address}");
        let mut stopped = stopped.clone();
        let stop = async move { drop(stopped.wait_for(|it| *it).await) };
        let (gateway, tls) = (Arc::clone(&gateway), tls.clone());
        tokio::spawn(server::serve(gateway, Side::Admin, listener, tls, stop))
    });
    println!("listening on {scheme}://{address}");
    let mut outcome = Ok(());
    let stop = async {
        tokio::select! {
            () = stop => {}
            failure = first_to_end(&mut tasks) => outcome = Err(failure),
        }
    };
    server::serve(Arc::clone(&gateway), Side::Signing, listener, tls, stop).await;
    stopping.send_replace(true);
    if let Some(side) = admin {
        drop(side.await);
    }
    gateway.write_counts().await;
    outcome
}

/// Waits for the first background task to end. Each must run as long as the process: without it, the gateway would
/// serve until its seeds expire, so it is better to restart it.
async fn first_to_end(tasks: &mut JoinSet<()>) -> Failure {
    let why = match tasks.join_next().await {
        Some(Err(error)) => error.to_string(),
        Some(Ok(())) | None => "it returned".to_owned(),
    };
    Failure::refused(format!("a background task ended: {why}"))
        .hint("this is a bug: restart the gateway, and report what it printed")
}

/// Checks what start-up needs beyond the configuration and TLS, as far as possible without the HSM.
fn check(config: &Config) -> Result<(), Failure> {
    let module = &config.module.path;
    if !module.is_file() {
        return Err(Failure::file(module, "PKCS#11 module not found"));
    }
    if let Some(why) = LoginRecord::new(&config.state_dir).refusal() {
        return Err(HsmError::Pkcs11(Pkcs11Error::PinRefused(why)).into());
    }
    let (groups, keys) = (config.rules.groups().count(), config.rules.keys().count());
    println!("the configuration is valid: key groups {groups}, keys {keys}");
    Ok(())
}

/// A listener with its address.
type Bound = (TcpListener, SocketAddr);

async fn bind_if(address: Option<SocketAddr>) -> Result<Option<Bound>, Failure> {
    match address {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}

async fn bind(address: SocketAddr) -> Result<Bound, Failure> {
    vouchsafe_serve::bind(address)
        .await
        .map_err(|error| Failure::refused(format!("cannot listen on {address}: {error}")))
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(no_signals)
}

fn no_signals(error: std::io::Error) -> Failure {
    Failure::refused(format!("cannot handle signals: {error}"))
}

/// Handles signals that don't stop the gateway.
fn handle_signals(gateway: &Arc<Gateway>, tasks: &mut JoinSet<()>) -> Result<(), Failure> {
    let mut reopen = listen(SignalKind::hangup())?;
    let mut trust = listen(SignalKind::user_defined1())?;
    let logging = Arc::clone(gateway);
    tasks.spawn(async move {
        while reopen.recv().await.is_some() {
            logging.reopen_log().await;
        }
    });
    let watching = Arc::clone(gateway);
    tasks.spawn(async move {
        while trust.recv().await.is_some() {
            watching.trust_clock().await;
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panicking_task_ends_the_gateway() {
        let failure = vouchsafe_cli::run(async {
            let mut tasks = JoinSet::new();
            tasks.spawn(std::future::pending());
            tasks.spawn(async { panic!("clock broken") });
            Err::<(), _>(first_to_end(&mut tasks).await)
        });
        let failure = failure.expect_err("a task ended");
        let text = "clock broken";
        assert!(failure.message.contains(text), "{}", failure.message);
        assert_eq!(failure.code, 1, "a service manager restarts it");
    }
}
