//! `vouchsafe policy graph`: a graph of who can get what.

use super::bundle::{DIR_DEFAULT, EnvironmentArgs, load};
use super::output::write_file;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::Graph;

/// Draw who can get what: issuers, principal types, policies, audiences and the keys that sign.
///
/// Arrows lead from a policy's principal types to its audiences, by its scope. Policies that forbid are red.
/// Conditions are only marked.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the bundle does not load, 2 usage error.

Examples:
  vouchsafe policy graph >access.mmd
  vouchsafe policy graph policies --format svg --output access.svg")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The file to write; default: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "mermaid")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Mermaid,
    Svg,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let text = draw(args)?;
    match &args.output {
        Some(path) => write_file(path, &text)?,
        None => print!("{text}"),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn draw(args: &Args) -> Result<String, Failure> {
    let (_, bundle) = load(&args.dir, &args.environment.environment())?;
    let graph = Graph::of(&bundle);
    Ok(match args.format {
        Format::Mermaid => graph.mermaid(),
        Format::Svg => graph.svg(),
    })
}
