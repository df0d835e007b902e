//! `vouchsafe`: the command line.
//!
//! Each subcommand is in `commands/<name>.rs`, and the host behind `serve` is `crates/host`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic ends one connection or one command, and overflow is checked"
)]
#![allow(rustdoc::broken_intra_doc_links, reason = "help texts name sections such as [[key]]")]

// Output macros that don't panic when a pipe is closed, for all modules.
#[macro_use]
extern crate vouchsafe_cli;

#[cfg(feature = "host")]
mod allocator;
mod arguments;
mod client;
mod commands;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::ffi::OsStr;
use std::process::ExitCode;
use vouchsafe_cli::print;

/// A serverless token broker: exchanges a platform's token for a short-lived one.
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
    #[cfg(feature = "host")]
    Audit(commands::audit::Args),
    Client(commands::client::Args),
    Completions(commands::completions::Args),
    Credential(commands::credential::Args),
    DevIssuer(commands::dev_issuer::Args),
    #[cfg(feature = "host")]
    Doctor(commands::doctor::Args),
    Exec(commands::exec::Args),
    #[cfg(feature = "host")]
    Init(commands::init::Args),
    Incident(commands::incident::Args),
    Keys(commands::keys::Args),
    Man(commands::man::Args),
    Metadata(commands::metadata::Args),
    Policy(commands::policy::Args),
    Preset(commands::preset::Args),
    Probe(commands::probe::Args),
    #[cfg(feature = "host")]
    Report(commands::report::Args),
    Revoke(Box<commands::revoke::Args>),
    #[cfg(feature = "host")]
    Serve(commands::serve::Args),
    #[cfg(feature = "host")]
    Store(commands::store::Args),
    Token(commands::token::Args),
    Verify(commands::verify::Args),
    /// Print the version, as --version does.
    #[command(after_help = "Exit codes: 0 printed.\n\nExamples:\n  vouchsafe version")]
    Version,
}

/// Parses the command line, or prints what is wrong with it and exits.
fn parse() -> Cli {
    let value = |name: &OsStr| std::env::var_os(name);
    let mut command = arguments::without_empty_variables(Cli::command(), &value);
    let found = command.try_get_matches_from_mut(std::env::args_os());
    found.and_then(|found| Cli::from_arg_matches(&found)).unwrap_or_else(|mut error| {
        arguments::name_variable(&mut error, &command, &value);
        let arguments: Vec<_> = std::env::args_os().map(|it| it.to_string_lossy().into_owned()).collect();
        commands::exec::hint_at_separator(&mut error, &arguments);
        if error.use_stderr() && commands::token::is_for_eval(&arguments) {
            println!("{}", commands::token::on_failure(&commands::token::env_name(&arguments)));
        }
        error.exit()
    })
}

fn main() -> ExitCode {
    let outcome = match parse().command {
        #[cfg(feature = "host")]
        Command::Audit(args) => commands::audit::run(args),
        Command::Client(args) => commands::client::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Credential(args) => commands::credential::run(args),
        Command::DevIssuer(args) => commands::dev_issuer::run(args),
        #[cfg(feature = "host")]
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Exec(args) => commands::exec::run(args),
        #[cfg(feature = "host")]
        Command::Init(args) => commands::init::run(args),
        Command::Incident(args) => commands::incident::run(args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
        Command::Metadata(args) => commands::metadata::run(&args),
        Command::Policy(args) => commands::policy::run(args),
        Command::Preset(args) => commands::preset::run(&args),
        Command::Probe(args) => commands::probe::run(args),
        #[cfg(feature = "host")]
        Command::Report(args) => commands::report::run(&args),
        Command::Revoke(args) => commands::revoke::run(*args),
        #[cfg(feature = "host")]
        Command::Serve(args) => commands::serve::run(args, commands::keys::inventory::times),
        #[cfg(feature = "host")]
        Command::Store(args) => commands::store::run(args),
        Command::Token(args) => commands::token::run(args),
        Command::Verify(args) => commands::verify::run(args),
        Command::Version => {
            println!("{}", Cli::command().render_version().trim_end());
            Ok(ExitCode::SUCCESS)
        }
    };
    print::finish(outcome.unwrap_or_else(|failure| failure.report()))
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
