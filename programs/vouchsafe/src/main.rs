//! `vouchsafe`: the command line and the standalone host.
//!
//! Each subcommand lives in `commands/<name>.rs`; the host behind `serve` in `host/`.

mod client;
mod commands;
#[cfg(feature = "host")]
mod host;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A serverless token broker: exchange a platform's token for a short-lived one.
#[derive(Parser)]
#[command(
    name = "vouchsafe",
    version,
    propagate_version = true,
    after_help = "Example:\n  vouchsafe token --broker https://broker.example --audience https://deploy.example --scope deploy:write\n\n`vouchsafe COMMAND --help` has examples of each command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    DevIssuer(commands::dev_issuer::Args),
    Policy(commands::policy::Args),
    Probe(commands::probe::Args),
    #[cfg(feature = "host")]
    Serve(commands::serve::Args),
    Token(commands::token::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::DevIssuer(args) => commands::dev_issuer::run(args),
        Command::Policy(args) => commands::policy::run(args),
        Command::Probe(args) => commands::probe::run(args),
        #[cfg(feature = "host")]
        Command::Serve(args) => commands::serve::run(args),
        Command::Token(args) => commands::token::run(args),
    };
    outcome.unwrap_or_else(|failure| failure.report())
}
