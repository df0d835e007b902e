//! `vouchsafe policy`: commands for authors of trust bundles.

#[cfg(feature = "proofs")]
mod access;
mod audit;
pub(crate) mod bundle;
mod check;
mod diff;
mod explain;
mod fmt;
mod git;
mod graph;
pub(crate) mod hosts;
mod new;
mod output;
#[cfg(feature = "proofs")]
mod prove;
mod schema;
pub(crate) mod settings;
#[cfg(feature = "proofs")]
mod solver;
mod test;
#[cfg(test)]
mod tests;
mod usage;
mod watch;

use std::process::ExitCode;
use vouchsafe_cli::Failure;

/// Write, check, test, explain and compare trust bundles.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe policy check --manifest spin.toml\n  vouchsafe policy test --coverage\n  vouchsafe policy explain --claims job.json --audience https://deploy.example\n  vouchsafe policy diff --base origin/main --fail-on widening"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    #[cfg(feature = "proofs")]
    Can(access::CanArgs),
    Check(check::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Fmt(fmt::Args),
    Graph(graph::Args),
    New(new::Args),
    #[cfg(feature = "proofs")]
    Prove(prove::Args),
    Schema(schema::Args),
    Test(test::Args),
    Usage(usage::Args),
    #[cfg(feature = "proofs")]
    WhoCan(access::WhoCanArgs),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        #[cfg(feature = "proofs")]
        Command::Can(args) => access::can(&args),
        Command::Check(args) => check::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::New(args) => new::run(&args),
        #[cfg(feature = "proofs")]
        Command::Prove(args) => prove::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Usage(args) => usage::run(&args),
        #[cfg(feature = "proofs")]
        Command::WhoCan(args) => access::who_can(&args),
    }
}
