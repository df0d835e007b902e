//! `hsm-gateway serve`.

use super::ConfigFile;
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::hsm::HsmError;
use crate::inventory::hsm_failure;
use crate::pin::Logins;
use crate::server::{self, Side};
use crate::worker::protocol::Fault;
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
/// Prints one line, `listening on https://ADDRESS`, once all epoch keys are there that brokers publish; what
/// else there is to say goes to standard error.
/// SIGTERM and SIGINT let requests in flight finish; SIGHUP opens the log anew, after it was moved away; SIGUSR1
/// says that a clock that was set is right now. Don't restart it on exit code 2: a refused PIN is among the causes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  hsm-gateway serve --config /etc/hsm-gateway/gateway.toml\n  hsm-gateway serve --check --config /etc/hsm-gateway/gateway.toml\n\nExit codes: 0 stopped by a signal, or with --check all is well, 1 the token or `state_dir` can't be used, or an address is taken, 2 the command line or the file is wrong, or the PIN was refused."
)]
pub struct Args {
    #[command(flatten)]
    config: ConfigFile,
    /// Read the file and all files that it names, say what is wrong, and end: for before a restart, which
    /// loses the seeds in memory. The HSM is not asked; `doctor` does that
    #[arg(long)]
    check: bool,
    /// Start the clock at this time, in Unix seconds; development mode only
    #[arg(long, value_name = "UNIX")]
    danger_now: Option<u64>,
    /// Set the clock by the seconds in this file, whenever it is looked at; development mode only
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
        return Err(Failure::usage(
            "--danger-now and --danger-clock move the clock of every check, and need `development = true`",
        ));
    }
    let tls = config.tls.as_ref().map(server::acceptor).transpose()?;
    if args.check {
        return check(&config);
    }
    let listener = bind(config.listen).await?;
    let metrics_listener = bind_if(config.metrics_listen).await?;
    let admin_listener = bind_if(config.admin_listen).await?;
    let gateway = Gateway::open(config, Clock::new(danger)).await?;
    // ORDER: signals are caught before the address is announced, so that whoever read it can stop us.
    let stop = stop_signal()?;
    let mut parts = JoinSet::new();
    follow_signals(&gateway, &mut parts)?;
    parts.spawn(Arc::clone(&gateway).keep_turning());
    let watching = Arc::clone(&gateway);
    parts.spawn(async move { watching.keep_watch().await });
    if let Some(listener) = metrics_listener {
        eprintln!(
            "hsm-gateway: metrics at http://{}/metrics",
            address_of(&listener)?
        );
        if address_of(&listener)?.ip().is_unspecified() {
            eprintln!("hsm-gateway: metrics are at each address of this machine, for anyone");
        }
        parts.spawn(server::serve_metrics(Arc::clone(&gateway), listener));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (stopping, stopped) = tokio::sync::watch::channel(false);
    let admin = admin_listener.map(|listener| {
        let stop = {
            let mut stopped = stopped.clone();
            async move { drop(stopped.wait_for(|it| *it).await) }
        };
        let address = address_of(&listener);
        let side = server::serve(
            Arc::clone(&gateway),
            Side::Admin,
            listener,
            tls.clone(),
            stop,
        );
        (address, tokio::spawn(side))
    });
    let admin = match admin {
        Some((address, side)) => {
            eprintln!("hsm-gateway: keys are changed at {scheme}://{}", address?);
            Some(side)
        }
        None => None,
    };
    println!("listening on {scheme}://{}", address_of(&listener)?);
    let mut outcome = Ok(());
    let stop = async {
        tokio::select! {
            () = stop => {}
            failure = ended(&mut parts) => outcome = Err(failure),
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

/// Waits for the first of the parts that have to go on for as long as the process does. A gateway without one
/// of them would serve on, until its seeds are those of the past: it is better started anew.
async fn ended(parts: &mut JoinSet<()>) -> Failure {
    let why = match parts.join_next().await {
        Some(Err(error)) => error.to_string(),
        Some(Ok(())) | None => "it gave up".to_owned(),
    };
    Failure::refused(format!("a part of the gateway has ended: {why}"))
        .hint("this is a fault of the gateway: start it again, and report what it printed")
}

/// What a start would stumble over behind the file, and TLS: as far as it shows without the HSM.
fn check(config: &Config) -> Result<(), Failure> {
    let module = &config.module.path;
    if !module.is_file() {
        let module = module.display();
        return Err(Failure::usage(format!("{module}: there is no such module")));
    }
    if let Some(why) = Logins::new(&config.state_dir).refused() {
        return Err(hsm_failure(HsmError::Fault(Fault::PinRefused(why))));
    }
    let (groups, keys) = (config.rules.groups().count(), config.rules.keys().count());
    println!("nothing is wrong that shows without the HSM: key groups {groups}, keys {keys}");
    Ok(())
}

async fn bind_if(address: Option<SocketAddr>) -> Result<Option<TcpListener>, Failure> {
    match address {
        Some(address) => bind(address).await.map(Some),
        None => Ok(None),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::refused(format!("{address}: {error}")))
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::refused(error.to_string()))
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::refused(format!("signals: {error}")))
}

/// What an operator tells a gateway that goes on.
fn follow_signals(gateway: &Arc<Gateway>, parts: &mut JoinSet<()>) -> Result<(), Failure> {
    let mut moved = listen(SignalKind::hangup())?;
    let mut believed = listen(SignalKind::user_defined1())?;
    let logging = Arc::clone(gateway);
    parts.spawn(async move {
        while moved.recv().await.is_some() {
            logging.reopen_log().await;
        }
    });
    let watching = Arc::clone(gateway);
    parts.spawn(async move {
        while believed.recv().await.is_some() {
            watching.believe_clock().await;
        }
    });
    Ok(())
}

fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_panics_ends_the_gateway_with_an_error() {
        let failure = vouchsafe_cli::run(async {
            let mut parts = JoinSet::new();
            parts.spawn(std::future::pending());
            parts.spawn(async { panic!("no epoch begins any more") });
            Err::<(), _>(ended(&mut parts).await)
        });
        let failure = failure.expect_err("a part ended");
        let text = "no epoch begins any more";
        assert!(failure.message.contains(text), "{}", failure.message);
        assert_eq!(failure.code, 1, "whoever watches over it starts it again");
    }
}
