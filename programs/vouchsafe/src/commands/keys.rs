//! `vouchsafe keys`: lists and changes keys, and finds secrets that tokens replace.

mod canary;
mod discover;
#[cfg(feature = "host")]
pub mod inventory;
mod list;
mod operation;
mod probes;
mod rotate;
mod several;
mod time;

use clap::Subcommand;
use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// List all keys, change those of HSM gateways, and find secrets that tokens replace.
///
/// Operations are idempotent (`rollback` with --version). Gateways of one PKCS#11 token agree within a second, if its
/// module shows each what another changed. Use several --gateway for several tokens, or if a gateway may be down.
#[derive(clap::Args)]
#[command(
    subcommand_required = true,
    after_help = "\
Examples:
  vouchsafe keys list --gateway https://gateway.internal:8481 --admin-token-file admin-token
  vouchsafe keys discover .github deploy
  vouchsafe keys inventory --state-dir /var/lib/vouchsafe
  vouchsafe keys stage deploy --gateway https://gateway.internal:8481 --admin-token-file admin-token"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Canary(canary::Args),
    Discover(discover::Args),
    #[cfg(feature = "host")]
    Inventory(Box<inventory::Args>),
    List(list::Args),
    Promote(canary::PromoteArgs),
    Retire(operation::RetireArgs),
    Rollback(operation::RollbackArgs),
    Rotate(rotate::Args),
    Stage(operation::StageArgs),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Canary(args) => canary::run(&args),
        Command::Discover(args) => discover::run(&args),
        #[cfg(feature = "host")]
        Command::Inventory(args) => inventory::run(*args),
        Command::List(args) => list::run(&args),
        Command::Promote(args) => canary::promote(&args),
        Command::Retire(args) => operation::retire(&args),
        Command::Rollback(args) => operation::roll_back(&args),
        Command::Rotate(args) => rotate::run(&args),
        Command::Stage(args) => operation::stage(&args),
    }
}
