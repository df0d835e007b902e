//! `vouchsafe revoke`: revokes tokens, blocks workloads, and shows and lifts what was done.

mod add;
mod answer;
mod lift;
mod list;

use clap::Subcommand;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Revoke issued tokens, and refuse new ones with --block.
///
/// The broker refuses the tokens at once in /introspect and for its own endpoints. An API that verifies tokens by itself
/// accepts them until they expire. Conditions are combined: a token must match all of them.
///
/// The caller needs a token for the audience `<broker>/admin` with the scope `revoke`, which is requested with the
/// platform's token as in `vouchsafe token`.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Exit codes: 0 revoked, or counted with --dry-run, 1 refused, 2 the command line is wrong, 3 the broker cannot be reached or
cannot answer now, after the retries.

Examples:
  vouchsafe revoke --broker https://broker.example --issuer github --subject repo:acme/app:ref:refs/heads/main --dry-run
  vouchsafe revoke --broker https://broker.example --issuer github --subject repo:acme/app:ref:refs/heads/main \\
    --block --reason 'INC-7: leaked runner'
  vouchsafe revoke --broker https://broker.example --audience https://deploy.example --since 2h --reason 'INC-7'
  vouchsafe revoke --broker https://broker.example --token oX3Vb1fPzCkQ8w7uYtRnEA --reason 'INC-7'"
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    add: Option<add::Args>,
}

#[derive(Subcommand)]
enum Command {
    Lift(lift::Args),
    List(list::Args),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match (args.command, args.add) {
        (Some(Command::Lift(args)), _) => lift::run(&args),
        (Some(Command::List(args)), _) => list::run(&args),
        (None, Some(args)) => add::run(&args),
        (None, None) => Err(Failure::usage("--broker is missing")),
    }
}
