//! `vouchsafe`: the command line.
//!
//! Each subcommand lives in `commands/<name>.rs`; the host behind `serve` is `crates/host`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic ends one connection or one command, and overflow is checked"
)]

// ORDER: first, so that all others have its macros.
#[macro_use]
mod print;

mod client;
mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A serverless token broker: exchange a platform's token for a short-lived one.
#[derive(Parser)]
#[command(
    name = "vouchsafe",
    version,
    propagate_version = true,
    after_help = "Examples:\n  vouchsafe token --broker https://broker.example --audience https://deploy.example --scope deploy:write\n\n`vouchsafe COMMAND --help` has examples of each command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    DevIssuer(commands::dev_issuer::Args),
    Keys(commands::keys::Args),
    Policy(commands::policy::Args),
    Probe(commands::probe::Args),
    #[cfg(feature = "host")]
    Serve(commands::serve::Args),
    Token(commands::token::Args),
    Verify(commands::verify::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::DevIssuer(args) => commands::dev_issuer::run(args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Policy(args) => commands::policy::run(args),
        Command::Probe(args) => commands::probe::run(args),
        #[cfg(feature = "host")]
        Command::Serve(args) => commands::serve::run(args),
        Command::Token(args) => commands::token::run(args),
        Command::Verify(args) => commands::verify::run(args),
    };
    print::finish(outcome.unwrap_or_else(|failure| failure.report()))
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    /// Every command below `command`, with what its help ends with.
    fn helps(command: &clap::Command, name: &str, all: &mut Vec<(String, String, bool)>) {
        let help = command.get_after_help().map(ToString::to_string);
        let is_group = command.is_subcommand_required_set();
        all.push((name.to_owned(), help.unwrap_or_default(), is_group));
        for below in command.get_subcommands() {
            helps(below, &format!("{name} {}", below.get_name()), all);
        }
    }

    #[test]
    fn every_command_has_examples_and_says_its_exit_codes() {
        let mut all = Vec::new();
        helps(&Cli::command(), "vouchsafe", &mut all);
        assert!(all.len() > 7, "{all:?}");
        for (name, help, is_group) in all {
            assert!(help.contains("Examples:\n  "), "{name}: {help}");
            assert!(
                is_group || help.contains("Exit codes: 0 "),
                "{name}: {help}"
            );
        }
    }
}
