//! `vouchsafe policy graph`: who can get what, drawn.

use super::output::write_file;
use super::{EnvironmentArgs, load};
use crate::commands::Failure;
use std::path::PathBuf;
use std::process::ExitCode;
use vouchsafe_policy_tools::Graph;

/// Draw who can get what: issuer, principal kind, audience and the keys that sign.
///
/// An arrow from a kind to an audience is a `permit` whose scope matches. Its conditions are not drawn.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 drawn, 1 the bundle does not load, 2 wrong use.

Examples:
  vouchsafe policy graph policies >access.mmd
  vouchsafe policy graph policies --format svg --output access.svg")]
pub struct Args {
    /// The folder that holds `bundle.toml`.
    dir: PathBuf,
    /// Where to write; else standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// As what to draw.
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
