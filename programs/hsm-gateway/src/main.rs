//! `hsm-gateway`: stands between signers and an HSM, and enforces limits for both (`docs/hsm/`).
//!
//! A worker process (`pkcs11/worker.rs`) loads the PKCS#11 module. It is killed and replaced when it hangs or crashes,
//! while the gateway keeps running. `crates/gateway` decides what is allowed; this program does the I/O: module, files,
//! network.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]
#![allow(rustdoc::broken_intra_doc_links, reason = "help texts name sections such as [[key]]")]

// Output macros that don't panic when a pipe is closed, for all modules.
#[macro_use]
extern crate vouchsafe_cli;

mod backup;
mod clock;
mod commands;
mod config;
mod details;
mod gateway;
mod hex;
mod log;
mod metrics;
mod network;
mod pkcs11;
mod server;
mod state_dir;

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use vouchsafe_cli::print;

/// Gateway between Vouchsafe's signers and an HSM: hands out epoch seeds and signs tokens, within limits
#[derive(Parser)]
#[command(
    name = "hsm-gateway",
    version,
    propagate_version = true,
    after_help = "Examples:\n  hsm-gateway credential\n  hsm-gateway init --config gateway.toml\n  hsm-gateway doctor --config gateway.toml\n  hsm-gateway serve --config gateway.toml\n\ndocs/hsm/install.md describes a complete setup, step by step."
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
    /// Load the PKCS#11 module for the gateway, which starts this process
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    disable_core_dumps();
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
        Command::Worker => pkcs11::worker::run(),
    };
    print::finish(outcome.unwrap_or_else(|failure| failure.report()))
}

/// Disables core dumps, since seeds and PINs are in the memory of gateway and worker. Ignored if the kernel refuses.
fn disable_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
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
