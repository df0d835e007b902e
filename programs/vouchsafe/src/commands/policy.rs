//! `vouchsafe policy`: trust bundles before they are used.

mod check;
mod explain;
mod hosts;
#[cfg(test)]
mod tests;

use super::Failure;
use std::path::Path;
use std::process::ExitCode;
use vouchsafe_policy::{BundleFiles, Environment, InvalidBundle, folder};

/// Check and explain trust bundles.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  vouchsafe policy check policies --manifest spin.toml\n  vouchsafe policy explain policies --claims job.json --audience https://deploy.example"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(check::Args),
    Explain(explain::Args),
}

pub fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.command {
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
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
    if !dir.is_dir() {
        return Err(
            Failure::usage(format!("`{}` is not a folder", dir.display()))
                .hint("give the folder that holds `bundle.toml`"),
        );
    }
    Ok(folder::read(dir))
}
