//! `vouchsafe audit`: proves, verifies, exports and prunes the audit records.

mod copy;
pub mod database;
pub mod export;
mod finding;
mod note;
mod policy;
mod postgres;
mod proof;
mod prune;
pub mod record;
mod report;
mod rows;
mod site;
#[cfg(test)]
mod tests;
mod tree;
mod verify;
mod witness;

use clap::Subcommand;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Prove, verify, export and prune the audit records.
///
/// Every decision of a broker is a leaf of a transparency log. Its checkpoints show later whether a record was changed.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  vouchsafe audit policy --broker https://broker.example >log-policy
  vouchsafe audit verify /var/lib/vouchsafe --policy log-policy"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Export(export::Args),
    Policy(policy::Args),
    Proof(proof::Args),
    Prune(prune::Args),
    Verify(verify::Args),
    Witness(witness::Args),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Export(args) => export::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Proof(args) => proof::run(&args),
        Command::Prune(args) => prune::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Witness(args) => witness::run(&args),
    }
}
