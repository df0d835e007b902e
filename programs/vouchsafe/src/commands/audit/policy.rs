//! `vouchsafe audit policy`.

use super::site;
use crate::client::NetworkArgs;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_tlog::VerifierKey;

/// Print a policy that trusts the log of a broker (C2SP tlog-policy).
///
/// Keep it where the broker's operators can't change it, and add witnesses. The key changes when the broker's root
/// changes, and the log when its database was restored.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 printed, 1 the broker has no log, 2 the command line is wrong, 3 the broker cannot be reached.

Examples:
  vouchsafe audit policy --broker https://broker.example >log-policy")]
pub struct Args {
    /// The broker's URL.
    #[arg(long, env = "VOUCHSAFE_BROKER", value_name = "URL")]
    broker: String,
    #[command(flatten)]
    network: NetworkArgs,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let text = site::text(&args.network.http()?, &args.broker, "key")?;
    let key = VerifierKey::parse(text.trim_end());
    let key = key.map_err(|error| Failure::refused(format!("the broker's answer is {error}")))?;
    println!("log {key} {}/log", args.broker.trim_end_matches('/'));
    println!("quorum none");
    Ok(ExitCode::SUCCESS)
}
