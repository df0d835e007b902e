//! `vouchsafe revoke`: revokes tokens, blocks workloads, and shows and lifts what was done.

mod add;
pub mod answer;
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
    add: add::RevokeArgs,
}

#[derive(Subcommand)]
enum Command {
    Lift(lift::Args),
    List(list::Args),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Some(Command::Lift(args)) => lift::run(&args),
        Some(Command::List(args)) => list::run(&args),
        None => add::run(&args.add),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn takes_conditions_or_a_subcommand() {
        let parse = |line: &str| {
            let words = ["revoke"].into_iter().chain(line.split_whitespace());
            let args = Cli::try_parse_from(words).map(|cli| cli.args).map_err(|error| error.kind())?;
            Ok(args.command.is_some())
        };
        use clap::error::ErrorKind::{ArgumentConflict, MissingRequiredArgument};
        for (line, expected) in [
            ("--broker b --kid k --dry-run", Ok(false)),
            ("--broker b --kid k --reason r --block", Ok(false)),
            ("list --broker b", Ok(true)),
            ("lift i --broker b --reason r", Ok(true)),
            ("", Err(MissingRequiredArgument)),
            ("--kid k --reason r", Err(MissingRequiredArgument)),
            ("--broker b --kid k", Err(MissingRequiredArgument)),
            ("lift i --broker b", Err(MissingRequiredArgument)),
            ("--broker b --kid k --reason r list", Err(ArgumentConflict)),
        ] {
            assert_eq!(parse(line), expected, "{line}");
        }
    }
}
