//! `vouchsafe policy`: trust bundles before they are used.

mod audit;
mod check;
mod diff;
mod explain;
mod fmt;
mod graph;
pub(crate) mod hosts;
mod new;
mod output;
mod schema;
mod test;
#[cfg(test)]
mod tests;
mod watch;

use super::Failure;
use std::path::Path;
use std::process::ExitCode;
use vouchsafe_policy::{Bundle, BundleFiles, Environment, InvalidBundle, folder};

/// Write, check, test, explain and compare trust bundles.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe policy check policies --manifest spin.toml\n  vouchsafe policy test policies --coverage\n  vouchsafe policy explain policies --claims job.json --audience https://deploy.example\n  vouchsafe policy diff main/policies policies --fail-on widening"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(check::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Fmt(fmt::Args),
    Graph(graph::Args),
    New(new::Args),
    Schema(schema::Args),
    Test(test::Args),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Check(args) => check::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Graph(args) => graph::run(&args),
        Command::New(args) => new::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Test(args) => test::run(&args),
    }
}

/// What a bundle is checked against; in the broker all of it comes from the signer's settings.
#[derive(clap::Args)]
struct EnvironmentArgs {
    /// The broker's own issuer URL: the audience of subject tokens where an issuer file names none.
    #[arg(long, value_name = "URL", default_value = "https://broker.example")]
    issuer: String,
    /// Trust the issuers of files marked `development = true` too.
    #[arg(long)]
    development: bool,
    /// Length of a signing epoch; no token may live longer than that less 60 s.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    epoch_seconds: u64,
}

impl EnvironmentArgs {
    fn environment(&self) -> Environment {
        Environment {
            issuer: self.issuer.clone(),
            development: self.development,
            epoch_seconds: self.epoch_seconds,
        }
    }
}

/// The files in `dir`, or what is wrong with them.
fn read_folder(dir: &Path) -> Result<Result<BundleFiles, InvalidBundle>, Failure> {
    must_be_folder(dir)?;
    Ok(folder::read(dir))
}

fn must_be_folder(dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    Err(
        Failure::usage(format!("`{}` is not a folder", dir.display()))
            .hint("give the folder that holds `bundle.toml`"),
    )
}

/// The bundle in `dir`, which must load.
fn load(dir: &Path, environment: &Environment) -> Result<(BundleFiles, Bundle), Failure> {
    let loaded = read_folder(dir)?.and_then(|files| {
        let bundle = Bundle::load(&files, environment)?;
        Ok((files, bundle))
    });
    loaded.map_err(|invalid| {
        Failure::refused(format!("the bundle does not load\n{invalid}"))
            .hint(format!("run `vouchsafe policy check {}`", dir.display()))
    })
}
