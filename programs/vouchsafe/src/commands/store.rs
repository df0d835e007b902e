//! `vouchsafe store`: the schema and the upkeep of a store on PostgreSQL.

mod database;
mod maintain;
mod migrate;

use clap::Subcommand;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Prepare and maintain a store on PostgreSQL.
///
/// Brokers with their state in SQLite need none of this.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "Examples:\n  vouchsafe store migrate --check --address @/etc/vouchsafe/postgres-address\n  vouchsafe store maintain --address @/etc/vouchsafe/postgres-address"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Maintain(maintain::Args),
    Migrate(migrate::Args),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Maintain(args) => vouchsafe_cli::run(maintain::run(args)),
        Command::Migrate(args) => vouchsafe_cli::run(migrate::run(args)),
    }
}
