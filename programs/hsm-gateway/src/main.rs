//! `hsm-gateway`: stands between signers and an HSM, and holds both to its rules (`docs/hsm/`).
//!
//! The PKCS#11 module is loaded in a worker process (`worker/`), which is killed and started anew when it
//! hangs or dies; the gateway itself never is. `crates/gateway` has the rules; here are the module, the
//! files and the network.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

// Output macros that don't panic when a pipe is closed, for all modules.
#[macro_use]
extern crate vouchsafe_cli;

mod backup;
mod clock;
mod commands;
mod config;
mod gateway;
mod hex;
mod hsm;
mod inventory;
mod log;
mod metrics;
mod network;
mod pin;
mod public_key;
mod root;
mod server;
mod shares;
mod worker;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use vouchsafe_cli::print;

/// Stands between Vouchsafe's signers and an HSM: hands out epoch seeds, signs tokens, holds both to rules.
#[derive(Parser)]
#[command(
    name = "hsm-gateway",
    version,
    propagate_version = true,
    after_help = "Examples:\n  hsm-gateway credential\n  hsm-gateway init --config gateway.toml\n  hsm-gateway doctor --config gateway.toml\n  hsm-gateway serve --config gateway.toml\n\ndocs/hsm/install.md has a complete set-up, step by step."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    AddKey(commands::add_key::Args),
    Credential(commands::credential::Args),
    Doctor(commands::doctor::Args),
    Init(commands::init::Args),
    Restore(commands::restore::Args),
    RootCertificate(commands::root_certificate::Args),
    Rotate(commands::rotate::Args),
    Serve(commands::serve::Args),
    Status(commands::status::Args),
    /// Holds the PKCS#11 module for the gateway, which starts it
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    keep_memory_private();
    let outcome = match Cli::parse().command {
        Command::AddKey(args) => commands::add_key::run(args),
        Command::Credential(args) => commands::credential::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Init(args) => commands::init::run(args),
        Command::Restore(args) => commands::restore::run(args),
        Command::RootCertificate(args) => commands::root_certificate::run(args),
        Command::Rotate(args) => commands::rotate::run(args),
        Command::Serve(args) => commands::serve::run(args),
        Command::Status(args) => commands::status::run(args),
        Command::Worker => worker::run(),
    };
    print::finish(outcome.unwrap_or_else(|failure| failure.report()))
}

/// Seeds and PINs are in the memory of gateway and worker: a crash leaves no copy of it. A kernel that does
/// not allow this has nothing else to offer.
fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_examples_and_exit_codes() {
        let none: [&str; 0] = [];
        assert_eq!(vouchsafe_cli::undocumented(&Cli::command()), none);
    }
}
