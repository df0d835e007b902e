//! `vouchsafe policy test`: the cases of a bundle, and their coverage of conditions.

use super::bundle::{DIR_DEFAULT, EnvironmentArgs, read_folder};
use super::explain::explain_case;
use super::output::{count, quoted, write_file};
use super::watch;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vouchsafe_cli::{Failure, Format};
use vouchsafe_policy::{BundleFiles, LoadError};
use vouchsafe_policy_tools::explain::Kind;
use vouchsafe_policy_tools::{
    CaseResult, CedarSuite, ConditionCoverage, PolicyCoverage, Suite, SuiteError, Verdict, coverage, export,
    export_profiles, junit, run as run_suite,
};

/// Run every case of a trust bundle: check the decision, and exactly which policies determine it.
///
/// Fails if a case is not met or a policy determines no case. Includes cases of issuers marked
/// `development = true`.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 all cases are met and all policies tested, 1 otherwise, or the bundle does not load,
2 usage error.

Examples:
  vouchsafe policy test
  vouchsafe policy test --explain
  vouchsafe policy test policies --coverage --watch
  vouchsafe policy test policies --junit results.xml --format json
  vouchsafe policy test policies --export-cedar out && cedar run-tests --policies out/policies.cedar \\
    --schema out/schema.cedarschema.json --schema-format json --tests out/tests.json")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// Show which conditions were never true, or never false, in any case.
    #[arg(long)]
    coverage: bool,
    /// Like --coverage, and fail if a condition was never true or never false.
    #[arg(long)]
    require_coverage: bool,
    /// Explain each case that is not met, as `vouchsafe policy explain --case` does.
    #[arg(long)]
    explain: bool,
    /// Also write the results as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the cases as files of the Cedar CLI's `run-tests` into this folder.
    #[arg(long, value_name = "FOLDER")]
    export_cedar: Option<PathBuf>,
    /// Run again whenever a file changes.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let once = || -> Result<bool, Failure> {
        let (text, passed) = test(args)?;
        print!("{text}");
        Ok(passed)
    };
    if args.watch {
        return watch::forever(&args.dir, || {
            if let Err(failure) = once() {
                failure.report();
            }
        });
    }
    Ok(ExitCode::from(u8::from(!once()?)))
}

/// The output, and whether the tests passed.
pub(super) fn test(args: &Args) -> Result<(String, bool), Failure> {
    let started = Instant::now();
    let environment = args.environment.environment();
    let outcome = read_folder(&args.dir)?
        .map_err(SuiteError::from)
        .and_then(|files| Ok((run_suite(&files, &environment)?, files)));
    let (suite, files) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return Ok((error_text(args.format, &error), false)),
    };
    let shows_coverage = args.coverage || args.require_coverage;
    let policies = match shows_coverage {
        true => coverage(&suite),
        false => Vec::new(),
    };
    let elapsed = started.elapsed();
    if let Some(path) = &args.junit {
        write_file(path, &junit(&suite, elapsed))?;
    }
    let notes = match &args.export_cedar {
        Some(folder) => write_cedar(folder, &suite, &files)?,
        None => Vec::new(),
    };
    let whole = policies.iter().all(is_whole);
    let text = match args.format {
        Format::Json => format!("{}\n", as_json(&suite, shows_coverage.then_some(&policies))),
        Format::Text => {
            let mut text: String = suite.failures().map(|result| failure_text(args, &suite, result)).collect();
            text.push_str(&as_text(&suite, elapsed));
            if shows_coverage {
                text.push_str(&coverage_text(&policies));
            }
            text.extend(notes);
            text
        }
    };
    Ok((text, suite.passed() && (whole || !args.require_coverage)))
}

fn error_text(format: Format, error: &SuiteError) -> String {
    let lines = error.diagnostics.iter().map(ToString::to_string);
    match format {
        Format::Json => format!("{}\n", json!({ "errors": lines.collect::<Vec<_>>() })),
        Format::Text => lines.map(|line| format!("error: {line}\n")).collect(),
    }
}

fn is_whole(policy: &PolicyCoverage) -> bool {
    policy.conditions.iter().all(ConditionCoverage::is_whole)
}

fn as_text(suite: &Suite, elapsed: Duration) -> String {
    let mut text = String::new();
    for path in &suite.orphans {
        text.push_str(&format!("FAIL {path}: the bundle has no policy with the folder's name\n"));
    }
    for policy in &suite.untested {
        text.push_str(&format!("FAIL policy `{policy}` determines no case: add one in `tests/{policy}/`\n"));
    }
    let failed = suite.failures().count();
    text.push_str(&format!(
        "{} of {}: {} met, {failed} not; {} of {} tested; {} ms\n",
        count(suite.results.len(), "case"),
        suite.bundle.name,
        suite.results.len() - failed,
        suite.bundle.policies().len() - suite.untested.len(),
        count(suite.bundle.policies().len(), "policy"),
        elapsed.as_millis(),
    ));
    text
}

/// A failed case, and its explanation or the command that prints it.
fn failure_text(args: &Args, suite: &Suite, result: &CaseResult) -> String {
    let path = &result.case.path;
    let (expected, found) = match &result.verdict {
        Verdict::Met => return String::new(),
        Verdict::Undecidable(reason) => return format!("FAIL {path}: {reason}\n"),
        Verdict::Unmet { expected, found } => (expected, found),
    };
    let mut text = format!("FAIL {path}: expected {expected}, found {found}\n");
    match args.explain {
        false => text.push_str(&format!("  hint: `{}` shows why\n", explain_command(args, path))),
        true => match explain_case(suite.bundle_of(&result.case), &result.case) {
            Ok(explanation) => {
                text.extend(explanation.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n"))
            }
            Err(failure) => text.push_str(&format!("  {}\n", failure.message)),
        },
    }
    text
}

/// The command that explains the case at `path` in the same environment.
fn explain_command(args: &Args, path: &str) -> String {
    let issuer = args.environment.issuer.as_ref();
    let issuer = issuer.map(|issuer| format!(" --issuer {}", quoted(Path::new(issuer)))).unwrap_or_default();
    format!("vouchsafe policy explain {} --case {}{issuer}", quoted(&args.dir), quoted(Path::new(path)))
}

fn coverage_text(policies: &[PolicyCoverage]) -> String {
    let mut text = String::new();
    for policy in policies.iter().filter(|policy| !is_whole(policy)) {
        let line = policy.position.map_or(0, |at| at.line);
        let asked = count(policy.asked, "case");
        text.push_str(&format!("{} ({}:{line}), evaluated by {asked}:\n", policy.id, policy.file));
        let conditions = policy.conditions.iter();
        for condition in conditions.filter(|condition| !condition.is_whole()) {
            let never = match (condition.times_true, condition.times_false) {
                (0, 0) => "never seen: ",
                (0, _) => "never true: ",
                (_, _) => "never false:",
            };
            let unless = match condition.kind {
                Kind::Unless => "unless ",
                Kind::When => "",
            };
            text.push_str(&format!("  {never} {unless}{}\n", condition.text));
        }
    }
    let all = policies.iter().flat_map(|policy| &policy.conditions);
    let whole = all.clone().filter(|one| one.is_whole()).count();
    text.push_str(&format!("{} of {} seen both true and false\n", whole, count(all.count(), "condition")));
    text
}

fn as_json(suite: &Suite, policies: Option<&Vec<PolicyCoverage>>) -> Value {
    let cases = suite.results.iter().map(|result| {
        let (verdict, expected, found) = match &result.verdict {
            Verdict::Met => ("met", None, None),
            Verdict::Undecidable(reason) => ("undecidable", None, Some(reason)),
            Verdict::Unmet { expected, found } => ("unmet", Some(expected), Some(found)),
        };
        json!({
            "case": result.case.path, "rule": result.case.policy, "verdict": verdict,
            "expected": expected, "found": found,
        })
    });
    let coverage = policies.map(|policies| policies.iter().map(coverage_json).collect::<Vec<_>>());
    json!({
        "bundle": { "name": suite.bundle.name, "version": suite.bundle.version, "digest": suite.bundle.digest() },
        "passed": suite.passed(),
        "cases": cases.collect::<Vec<_>>(),
        "untested_rules": suite.untested,
        "cases_of_unknown_rules": suite.orphans,
        "coverage": coverage,
    })
}

fn coverage_json(policy: &PolicyCoverage) -> Value {
    let condition = |one: &ConditionCoverage| {
        json!({
            "kind": match one.kind { Kind::Unless => "unless", Kind::When => "when" },
            "text": one.text, "times_true": one.times_true, "times_false": one.times_false,
        })
    };
    json!({
        "rule": policy.id, "file": policy.file, "line": policy.position.map(|at| at.line),
        "asked": policy.asked,
        "conditions": policy.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

/// Writes the three files for cases without a profile, and those of each profile into a folder of its own. Returns notes
/// about cases that are left out.
fn write_cedar(folder: &Path, suite: &Suite, files: &BundleFiles) -> Result<Vec<String>, Failure> {
    let refused = |error: LoadError| Failure::refused(error.to_string());
    let mut notes = write_suite(folder, export(suite, files).map_err(refused)?)?;
    // The name of a profile is arbitrary and must not lead out of the folder.
    for (profile, suite) in export_profiles(suite, files).map_err(refused)? {
        match is_folder_name(&profile) {
            true => notes.extend(write_suite(&folder.join(profile), suite)?),
            false => {
                notes.push(format!("note: profile {profile:?} is not exported: its name is not a valid folder name\n"))
            }
        }
    }
    Ok(notes)
}

fn is_folder_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(plain)
}

fn write_suite(folder: &Path, suite: CedarSuite) -> Result<Vec<String>, Failure> {
    let CedarSuite { tests, policies, schema, left_out } = suite;
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::usage(format!("cannot create folder `{}`: {error}", folder.display())))?;
    let pretty = |value: &Value| format!("{value:#}\n");
    write_file(&folder.join("tests.json"), &pretty(&tests))?;
    write_file(&folder.join("policies.cedar"), &policies)?;
    write_file(&folder.join("schema.cedarschema.json"), &pretty(&schema))?;
    let note = |path| format!("note: {path} is not exported: stock Cedar decides it differently\n");
    Ok(left_out.into_iter().map(note).collect())
}
