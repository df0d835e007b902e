//! `vouchsafe policy graph`: a graph of who can get what.

use super::audit;
use super::bundle::{DIR_DEFAULT, EnvironmentArgs, load};
use super::output::write_file;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::RecordedRequest;
use vouchsafe_policy_tools::graph::{Grant, Graph};

/// Draw who can get what: issuers, principal types, policies, audiences and the keys that sign.
///
/// Arrows lead from a policy's principal types to its audiences, by its scope. Policies that forbid are red.
/// Conditions are only marked. With --prove, arrows of permits remain only where some request is permitted.
/// With --replay, arrows along which decisions were made are thick and show how many.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 the bundle does not load, or something is not decided, 2 usage error, or no solver.

Examples:
  vouchsafe policy graph >access.mmd
  vouchsafe policy graph policies --format svg --output access.svg
  vouchsafe policy graph --prove --replay .state --since 90d --format svg --output access.svg")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// The file to write; default: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Count the recorded decisions, from a broker's state directory or an exported file.
    #[arg(long, value_name = "STATE")]
    replay: Option<PathBuf>,
    /// Count only decisions of the last DURATION, such as 30m, 24h or 90d; default: all.
    #[arg(long, value_name = "DURATION", requires = "replay")]
    since: Option<String>,
    /// Draw a permit's arrows only where it permits some request, which the solver cvc5 decides.
    #[cfg(feature = "proofs")]
    #[arg(long)]
    prove: bool,
    #[cfg(feature = "proofs")]
    #[command(flatten)]
    solver: super::solver::SolverArgs,
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
    let loaded = load(&args.dir, &args.environment.environment())?;
    let mut graph = Graph::of(&loaded.1);
    #[cfg(feature = "proofs")]
    if args.prove {
        graph.keep(&possible(args, &loaded.0)?);
    }
    if let Some(state) = &args.replay {
        graph.count(&decisions(state, args.since.as_deref())?);
    }
    Ok(match args.format {
        Format::Mermaid => graph.mermaid(),
        Format::Svg => graph.svg(),
    })
}

#[cfg(feature = "proofs")]
fn possible(args: &Args, files: &vouchsafe_policy::BundleFiles) -> Result<std::collections::BTreeSet<Grant>, Failure> {
    use vouchsafe_policy_proofs::grants;
    let (environment, solver) = (args.environment.environment(), &args.solver);
    let found = grants::possible(files, &environment, &solver.options(), solver.jobs())
        .map_err(|error| solver.failed(error))?;
    found.map_err(|why| Failure::refused(format!("the solver did not decide what is possible: {why}")))
}

/// How many decisions each policy determined: issued tokens for a permit, refusals for a forbid. Records of requests
/// that were refused before policy was asked have no request, and are left out.
fn decisions(state: &Path, since: Option<&str>) -> Result<BTreeMap<Grant, u64>, Failure> {
    let mut counts = BTreeMap::new();
    for record in audit::of_last(state, since)? {
        let Ok(RecordedRequest { principal, request, .. }) = RecordedRequest::parse(&record.cedar_request) else {
            continue;
        };
        for policy in record.determining_rules {
            let (issuer, audience) = (principal.issuer_name.clone(), request.audience.clone());
            let count: &mut u64 = counts.entry(Grant { policy, issuer, audience }).or_default();
            *count = count.saturating_add(record.repeats).saturating_add(1);
        }
    }
    Ok(counts)
}
