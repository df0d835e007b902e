//! `vouchsafe policy prove`: whether guardrails hold for every request.

mod assumed;
mod linted;
pub(super) mod show;

use super::bundle::{DIR_DEFAULT, EnvironmentArgs, must_have_bundle, read_folder};
use super::git;
use super::output::{FindingFormat, quoted, write_file};
use super::solver::SolverArgs;
pub(super) use linted::lints;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, print};
use vouchsafe_policy::authoring::proof;
use vouchsafe_policy::{Bundle, BundleFiles, PROOF_FILE};
use vouchsafe_policy_proofs::prove::{Outcome, Proofs, ProveError, brokers, prove_changes};
use vouchsafe_policy_tools::cases::written;

/// Prove that guardrails hold for every request that a trust bundle permits.
///
/// A guardrail is a `forbid` in `guardrails/` that no permitted request may match. An SMT solver, cvc5, decides
/// that for all requests; for one that breaks a guardrail, it finds an example. Nothing leaves this machine.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 every guardrail is proven, 1 one is violated or not proven, or the bundle does not load,
2 usage error, or no solver.

Examples:
  vouchsafe policy prove
  vouchsafe policy prove policies --record
  vouchsafe policy prove policies --base origin/main --format github
  vouchsafe policy prove policies --save-cases --format github
  vouchsafe policy prove policies --explain-assumptions")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// If every guardrail is proven, write `guardrails/proof.toml`, without which brokers refuse the bundle.
    #[arg(long)]
    record: bool,
    /// Write each request that breaks a guardrail as a test case that expects it to be denied.
    #[arg(long)]
    save_cases: bool,
    /// Leave out what is as in the folder DIR of this commit, branch or tag, if its guardrails are recorded as proven.
    #[arg(long, value_name = "GITREF")]
    base: Option<String>,
    /// Print what proofs assume about requests beyond the schema, and why it holds. Needs no solver.
    #[arg(long, conflicts_with_all = ["record", "save_cases"])]
    explain_assumptions: bool,
    #[command(flatten)]
    solver: SolverArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: FindingFormat,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, passed) = output(args, print::use_color())?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!passed)))
}

/// The output, and whether every guardrail is proven.
pub(super) fn output(args: &Args, colours: bool) -> Result<(String, bool), Failure> {
    must_have_bundle(&args.dir)?;
    let environment = args.environment.environment();
    let invalid = |error: &dyn std::fmt::Display| {
        Failure::refused(format!("the bundle does not load\n{error}"))
            .hint(format!("run `vouchsafe policy check {}`", quoted(&args.dir)))
    };
    let files = read_folder(&args.dir)?.map_err(|error| invalid(&error))?;
    let brokers = brokers(&files, &environment).map_err(|error| invalid(&error))?;
    if args.explain_assumptions {
        let text = match args.format {
            FindingFormat::Json => format!("{:#}\n", assumed::as_json(&brokers)),
            FindingFormat::Github | FindingFormat::Sarif | FindingFormat::Text => assumed::as_text(&brokers),
        };
        return Ok((text, true));
    }
    let (solver, jobs) = (args.solver.options(), args.solver.jobs());
    let base = args.base.as_ref().map(|reference| git::read(&args.dir, reference)).transpose()?;
    let base = base.transpose().map_err(|error| invalid(&error))?;
    let proofs = prove_changes(base.as_ref(), &files, &environment, &solver, jobs).map_err(|error| match error {
        ProveError::Load(error) => invalid(&error),
        ProveError::Solver(error) => args.solver.missing(&error),
        ProveError::Schema(_) => Failure::refused(error.to_string()),
    })?;
    if args.save_cases {
        save_cases(&args.dir, &files, &brokers, &proofs)?;
    }
    if args.record && proofs.hold() {
        write_file(&args.dir.join(PROOF_FILE), &proof::record(&files, &proofs.solver))?;
    }
    let shown = show::Shown { files: &files, brokers: &brokers, proofs: &proofs };
    let dir = args.dir.display().to_string();
    let text = match args.format {
        FindingFormat::Github => shown.as_github(&dir),
        FindingFormat::Json => format!("{:#}\n", shown.as_json()),
        FindingFormat::Sarif => format!("{:#}\n", shown.as_sarif(&dir)),
        FindingFormat::Text => shown.as_text(colours),
    };
    Ok((text, proofs.hold()))
}

/// Writes a case for each violation, next to the other cases of the policy that permits it.
fn save_cases(
    dir: &Path,
    files: &BundleFiles,
    brokers: &[(Option<String>, Bundle)],
    proofs: &Proofs,
) -> Result<(), Failure> {
    for proof in &proofs.proofs {
        let Outcome::Violated(found) = &proof.outcome else {
            continue;
        };
        let bundle = brokers.iter().find(|(profile, _)| *profile == proof.profile);
        let (Some((_, bundle)), Some(policy)) = (bundle, found.permitted_by.first()) else {
            continue;
        };
        let folder = dir.join("tests").join(policy).join("deny");
        let intent = format!("Guardrail `{}` forbids it.", proof.guardrail);
        let text = written::denied(files, bundle, &found.request, proof.profile.as_deref(), &intent);
        let cannot = |error| Failure::usage(format!("cannot write `{}`: {error}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(cannot)?;
        write_file(&free_path(&folder, &format!("guardrail {}", proof.guardrail), &text), &text)?;
    }
    Ok(())
}

/// A path that does not exist, or one with the same content.
fn free_path(folder: &Path, name: &str, text: &str) -> PathBuf {
    let numbered = (2..).map(|number: u32| folder.join(format!("{name} {number}.toml")));
    let is_free = |path: &PathBuf| match std::fs::read_to_string(path) {
        Ok(content) => content == text,
        Err(_) => !path.exists(),
    };
    let mut paths = std::iter::once(folder.join(format!("{name}.toml"))).chain(numbered);
    paths.find(is_free).unwrap_or_else(|| folder.join(format!("{name}.toml")))
}
