//! `vouchsafe policy test`: every case of a bundle, and which conditions they leave unseen.

use super::output::{count, write_file};
use super::{EnvironmentArgs, read_folder, watch};
use crate::commands::Failure;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vouchsafe_policy::explain::Kind;
use vouchsafe_policy::{BundleFiles, InvalidBundle};
use vouchsafe_policy_tools::{
    CaseResult, CedarSuite, ConditionCoverage, RuleCoverage, Suite, Verdict, coverage, export,
    export_profiles, junit, run as run_suite,
};

/// Run every case of a trust bundle: the decision, and exactly which rules determine it.
///
/// Fails where a case comes out otherwise than it says, and where a rule determines no case. Cases of
/// issuers marked `development = true` count too.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 every case is met and every rule tested, 1 not so, or the bundle does not load,
2 wrong use.

Examples:
  vouchsafe policy test policies
  vouchsafe policy test policies --coverage --watch
  vouchsafe policy test policies --junit results.xml --format json
  vouchsafe policy test policies --export-cedar out && cedar run-tests --policies out/policies.cedar \\
    --schema out/schema.cedarschema.json --schema-format json --tests out/tests.json")]
pub struct Args {
    /// The folder that holds `bundle.toml`.
    dir: PathBuf,
    /// Show which conditions of which rules no case saw true, or none saw false.
    #[arg(long)]
    coverage: bool,
    /// Fail where a condition was never true or never false too.
    #[arg(long, requires = "coverage")]
    require_coverage: bool,
    /// Write the results as JUnit's XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the cases as files of the Cedar CLI's `run-tests` into this folder.
    #[arg(long, value_name = "FOLDER")]
    export_cedar: Option<PathBuf>,
    /// Run again whenever a file changes, until interrupted.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// How to print the results.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Json,
    Text,
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

/// What to print, and whether all is as it should be.
pub(super) fn test(args: &Args) -> Result<(String, bool), Failure> {
    let started = Instant::now();
    let outcome = read_folder(&args.dir)?.and_then(|files| {
        let suite = run_suite(&files, &args.environment.environment())?;
        Ok((files, suite))
    });
    let (files, suite) = match outcome {
        Ok(outcome) => outcome,
        Err(invalid) => return Ok((of_invalid(args.format, &invalid), false)),
    };
    let rules = match args.coverage {
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
    let whole = rules.iter().all(is_whole);
    let text = match args.format {
        Format::Json => format!("{}\n", as_json(&suite, args.coverage.then_some(&rules))),
        Format::Text => {
            let mut text = as_text(&suite, elapsed);
            if args.coverage {
                text.push_str(&coverage_text(&rules));
            }
            text.extend(notes);
            text
        }
    };
    Ok((text, suite.passed() && (whole || !args.require_coverage)))
}

fn of_invalid(format: Format, invalid: &InvalidBundle) -> String {
    let findings = invalid.findings.iter().map(ToString::to_string);
    match format {
        Format::Json => format!("{}\n", json!({ "errors": findings.collect::<Vec<_>>() })),
        Format::Text => findings.map(|line| format!("error: {line}\n")).collect(),
    }
}

fn is_whole(rule: &RuleCoverage) -> bool {
    rule.conditions.iter().all(ConditionCoverage::is_whole)
}

fn as_text(suite: &Suite, elapsed: Duration) -> String {
    let mut text: String = suite.failures().map(failure_text).collect();
    for path in &suite.orphans {
        text.push_str(&format!(
            "FAIL {path}: the folder's rule is not in the bundle\n"
        ));
    }
    for rule in &suite.untested {
        text.push_str(&format!(
            "FAIL rule `{rule}` determines no case: add one in `tests/{rule}/`\n"
        ));
    }
    let failed = suite.failures().count();
    text.push_str(&format!(
        "{} of {}: {} met, {failed} not; {} of {} tested; {} ms\n",
        count(suite.results.len(), "case"),
        suite.bundle.name,
        suite.results.len() - failed,
        suite.bundle.rules().len() - suite.untested.len(),
        count(suite.bundle.rules().len(), "rule"),
        elapsed.as_millis(),
    ));
    text
}

fn failure_text(result: &CaseResult) -> String {
    let path = &result.case.path;
    match &result.verdict {
        Verdict::Met => String::new(),
        Verdict::Undecidable(reason) => format!("FAIL {path}: {reason}\n"),
        Verdict::Unmet { expected, found } => {
            format!("FAIL {path}: expected {expected}, found {found}\n")
        }
    }
}

fn coverage_text(rules: &[RuleCoverage]) -> String {
    let mut text = String::new();
    for rule in rules.iter().filter(|rule| !is_whole(rule)) {
        let line = rule.position.map_or(0, |at| at.line);
        let asked = count(rule.asked, "case");
        text.push_str(&format!(
            "{} ({}:{line}), asked by {asked}:\n",
            rule.id, rule.file
        ));
        let conditions = rule.conditions.iter();
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
    let all = rules.iter().flat_map(|rule| &rule.conditions);
    let whole = all.clone().filter(|one| one.is_whole()).count();
    text.push_str(&format!(
        "{} of {} seen both true and false\n",
        whole,
        count(all.count(), "condition")
    ));
    text
}

fn as_json(suite: &Suite, rules: Option<&Vec<RuleCoverage>>) -> Value {
    let cases = suite.results.iter().map(|result| {
        let (verdict, expected, found) = match &result.verdict {
            Verdict::Met => ("met", None, None),
            Verdict::Undecidable(reason) => ("undecidable", None, Some(reason)),
            Verdict::Unmet { expected, found } => ("unmet", Some(expected), Some(found)),
        };
        json!({
            "case": result.case.path, "rule": result.case.rule, "verdict": verdict,
            "expected": expected, "found": found,
        })
    });
    let coverage = rules.map(|rules| rules.iter().map(coverage_json).collect::<Vec<_>>());
    json!({
        "bundle": { "name": suite.bundle.name, "version": suite.bundle.version, "digest": suite.bundle.digest() },
        "passed": suite.passed(),
        "cases": cases.collect::<Vec<_>>(),
        "untested_rules": suite.untested,
        "cases_of_unknown_rules": suite.orphans,
        "coverage": coverage,
    })
}

fn coverage_json(rule: &RuleCoverage) -> Value {
    let condition = |one: &ConditionCoverage| {
        json!({
            "kind": match one.kind { Kind::Unless => "unless", Kind::When => "when" },
            "text": one.text, "times_true": one.times_true, "times_false": one.times_false,
        })
    };
    json!({
        "rule": rule.id, "file": rule.file, "line": rule.position.map(|at| at.line),
        "asked": rule.asked,
        "conditions": rule.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

/// Writes the three files of the usual cases, and in a folder per profile those of cases that name one; gives
/// what is to be said about them.
fn write_cedar(
    folder: &std::path::Path,
    suite: &Suite,
    files: &BundleFiles,
) -> Result<Vec<String>, Failure> {
    let refused = |invalid: InvalidBundle| Failure::refused(invalid.to_string());
    let mut notes = write_suite(folder, export(suite, files).map_err(refused)?)?;
    // The name of a profile is any text of `bundle.toml`, and must not lead out of the folder.
    for (profile, suite) in export_profiles(suite, files).map_err(refused)? {
        match is_folder_name(&profile) {
            true => notes.extend(write_suite(&folder.join(profile), suite)?),
            false => notes.push(format!(
                "note: profile {profile:?} is not exported: its name is not one of a folder\n"
            )),
        }
    }
    Ok(notes)
}

fn is_folder_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.bytes().all(plain)
}

fn write_suite(folder: &std::path::Path, suite: CedarSuite) -> Result<Vec<String>, Failure> {
    let CedarSuite {
        tests,
        policies,
        schema,
        left_out,
    } = suite;
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::usage(format!(
            "cannot make folder `{}`: {error}",
            folder.display()
        ))
    })?;
    let pretty = |value: &Value| format!("{value:#}\n");
    write_file(&folder.join("tests.json"), &pretty(&tests))?;
    write_file(&folder.join("policies.cedar"), &policies)?;
    write_file(&folder.join("schema.cedarschema.json"), &pretty(&schema))?;
    let note =
        |path| format!("note: {path} is not exported: stock Cedar does not decide it alike\n");
    Ok(left_out.into_iter().map(note).collect())
}
