//! `vouchsafe policy diff`: the effect of replacing one bundle with another.

mod proof;
#[cfg(feature = "proofs")]
mod proven;
mod replay;
mod show;

use super::bundle::{DIR_DEFAULT, EnvironmentArgs, read_folder};
use super::git;
use super::output::quoted;
use proof::Proof;
use replay::Replay;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy::{BundleFiles, LoadError};
use vouchsafe_policy_tools::diff::{Difference, Side, diff};

/// Show who gets more and who gets less when one trust bundle replaces another.
///
/// Decides the test cases of both and, with --replay, recorded requests. Lists changed policies, settings,
/// and pairs of principal type and audience. A change that may both widen and narrow is listed under
/// `either way`.
#[derive(clap::Args)]
#[command(override_usage = "vouchsafe policy diff [OPTIONS] --base <GITREF> [DIR]\n       \
                            vouchsafe policy diff [OPTIONS] <OLD> [DIR]")]
#[command(after_help = "\
Exit codes: 0 no change of the kind that --fail-on names, 1 such a change, or a bundle does not load,
2 usage error.

Examples:
  vouchsafe policy diff --base origin/main
  vouchsafe policy diff --base origin/main --prove
  vouchsafe policy diff --base origin/main policies --format markdown
  vouchsafe policy diff main/policies policies --replay .state --since 24h --fail-on widening
  vouchsafe policy diff main/policies policies --replay decisions.json --format json")]
pub struct Args {
    /// The bundle that is in use, unless --base names it, and the bundle that would replace it;
    /// default of the latter: policies.
    #[arg(value_name = "OLD|DIR", num_args = 0..=2)]
    dirs: Vec<PathBuf>,
    /// The bundle that is in use is the folder DIR of this commit, branch or tag of its git repository.
    #[arg(long, value_name = "GITREF")]
    base: Option<String>,
    /// Also decide recorded requests, from a broker's state directory or an exported file.
    #[arg(long, value_name = "STATE")]
    replay: Option<PathBuf>,
    /// Replay only decisions of the last DURATION, such as 30m, 24h or 7d; default: all.
    #[arg(long, value_name = "DURATION", requires = "replay")]
    since: Option<String>,
    /// Which changes make the exit code 1.
    #[arg(long, value_enum, default_value = "any")]
    fail_on: FailOn,
    /// Decide for all requests who gets more and who gets less, with the solver cvc5, instead of comparing the
    /// texts of policies.
    #[cfg(feature = "proofs")]
    #[arg(long)]
    prove: bool,
    #[cfg(feature = "proofs")]
    #[command(flatten)]
    solver: super::solver::SolverArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    /// GitHub's Markdown, for comments and job summaries.
    Markdown,
    Text,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FailOn {
    /// Any change in meaning.
    Any,
    /// Someone may get less.
    Narrowing,
    /// Only a bundle that does not load.
    Never,
    /// Someone may get more.
    Widening,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, failed) = compare(args)?;
    print!("{text}");
    #[cfg(feature = "proofs")]
    if !args.prove && matches!(args.format, Format::Text) {
        eprintln!("note: cases and policy texts were compared; `--prove` decides for all requests");
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// A bundle's files, and what to call it in errors.
struct Named {
    name: String,
    hint: String,
    files: Result<BundleFiles, LoadError>,
}

impl Named {
    fn of_folder(dir: &Path) -> Result<Self, Failure> {
        let hint = format!("run `vouchsafe policy check {}`", quoted(dir));
        Ok(Self { name: dir.display().to_string(), hint, files: read_folder(dir)? })
    }

    fn of_commit(dir: &Path, reference: &str) -> Result<Self, Failure> {
        let hint = format!("check that commit out, and run `vouchsafe policy check {}`", quoted(dir));
        let name = format!("{reference}:{}", dir.display());
        Ok(Self { name, hint, files: git::read(dir, reference)? })
    }

    fn files(&self) -> Result<&BundleFiles, Failure> {
        self.files.as_ref().map_err(|error| self.invalid(error))
    }

    fn invalid(&self, error: &dyn std::error::Error) -> Failure {
        Failure::refused(format!("`{}` does not load\n{error}", self.name)).hint(&self.hint)
    }
}

/// The output, and whether there is a change to fail on.
pub(super) fn compare(args: &Args) -> Result<(String, bool), Failure> {
    let environment = args.environment.environment();
    let (old, new) = sides(args)?;
    let old_side = Side::load(old.files()?, &environment).map_err(|error| old.invalid(&error))?;
    let new_side = Side::load(new.files()?, &environment).map_err(|error| new.invalid(&error))?;
    let replay = match &args.replay {
        Some(state) => Replay::read(state, args.since.as_deref())?,
        None => Replay::default(),
    };
    let mut difference = diff(&old_side, &new_side, &replay.requests).map_err(|error| new.invalid(&error))?;
    let proof = proof(args, (old.files()?, new.files()?), &mut difference)?;
    let failed = match args.fail_on {
        FailOn::Any => !difference.is_empty() || proof.widens || proof.narrows,
        FailOn::Narrowing => difference.narrows() || proof.narrows,
        FailOn::Never => false,
        FailOn::Widening => difference.widens() || proof.widens,
    };
    let text = match args.format {
        Format::Json => {
            let mut json = show::as_json(&difference, &old_side, &new_side, &replay);
            if let Some(members) = json.as_object_mut() {
                members.insert("proof".to_owned(), proof.json);
            }
            format!("{json}\n")
        }
        Format::Markdown => show::as_markdown(&difference, &replay) + &proof.markdown,
        Format::Text => show::as_text(&difference, &replay) + &proof.text,
    };
    Ok((text, failed))
}

#[cfg(feature = "proofs")]
fn proof(args: &Args, files: (&BundleFiles, &BundleFiles), difference: &mut Difference) -> Result<Proof, Failure> {
    match args.prove {
        true => proven::proof(&args.solver, &args.environment.environment(), files, difference),
        false => Ok(Proof::default()),
    }
}

#[cfg(not(feature = "proofs"))]
fn proof(_: &Args, _: (&BundleFiles, &BundleFiles), _: &mut Difference) -> Result<Proof, Failure> {
    Ok(Proof::default())
}

/// The bundle in use and the one that would replace it.
fn sides(args: &Args) -> Result<(Named, Named), Failure> {
    let default = PathBuf::from(DIR_DEFAULT);
    let (old, dir) = match (&args.base, args.dirs.as_slice()) {
        (Some(_), []) => (None, &default),
        (Some(_), [dir]) => (None, dir),
        (Some(_), [_, dir, ..]) => {
            return Err(Failure::usage("`--base` and two folders are given")
                .hint(format!("drop the first one: `--base` names a commit, and `{}` a folder in it", dir.display())));
        }
        (None, []) => {
            return Err(Failure::usage("the bundle that is in use is missing")
                .hint("pass `--base GITREF`, such as `--base origin/main`, or its folder"));
        }
        (None, [old]) => (Some(old), &default),
        (None, [old, dir, ..]) => (Some(old), dir),
    };
    let new = Named::of_folder(dir)?;
    let old = match (old, &args.base) {
        (Some(old), _) => Named::of_folder(old)?,
        (None, base) => Named::of_commit(dir, base.as_deref().unwrap_or_default())?,
    };
    Ok((old, new))
}
