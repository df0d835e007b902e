//! `vouchsafe policy check`: everything that is wrong with a bundle, with file and line.

use super::{EnvironmentArgs, hosts, read_folder};
use crate::commands::Failure;
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use vouchsafe_policy::{Bundle, Finding, Position, lint};

/// Say everything that is wrong with a trust bundle, with file and line.
///
/// Errors keep a bundle from being used; warnings are what is hardly meant.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 no error (there may be warnings), 1 errors, or warnings with --deny-warnings,
2 wrong use.

Examples:
  vouchsafe policy check policies
  vouchsafe policy check policies --manifest spin.toml --issuer https://broker.example
  vouchsafe policy check policies --deny-warnings --format json")]
pub struct Args {
    /// The folder that holds `bundle.toml`.
    dir: PathBuf,
    /// Compare the issuers' hosts with `allowed_outbound_hosts` of this manifest.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Fail on warnings too.
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// How to print what is found.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Json,
    Text,
}

/// A finding as it is printed.
pub(super) struct Line {
    pub file: String,
    pub position: Option<Position>,
    pub message: String,
}

impl<P: Display> From<&Finding<P>> for Line {
    fn from(finding: &Finding<P>) -> Self {
        let Finding {
            file,
            position,
            problem,
        } = finding;
        Self {
            file: file.clone(),
            position: *position,
            message: problem.to_string(),
        }
    }
}

/// Errors and warnings in the order in which they are printed.
#[derive(Default)]
pub(super) struct Lines {
    pub errors: Vec<Line>,
    pub warnings: Vec<Line>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, passed) = check(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!passed)))
}

/// What to print, and whether nothing fails the bundle.
pub(super) fn check(args: &Args) -> Result<(String, bool), Failure> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let report = match read_folder(&args.dir)? {
        Ok(files) => {
            let mut report = lint::check(&files, &args.environment.environment());
            report.warnings.extend(lint::expiring_keys(&files, now));
            report
        }
        Err(invalid) => lint::Report {
            errors: invalid.findings,
            ..lint::Report::default()
        },
    };
    let mut lines = Lines {
        errors: report.errors.iter().map(Line::from).collect(),
        warnings: report.warnings.iter().map(Line::from).collect(),
    };
    if let (Some(manifest), Some(bundle)) = (&args.manifest, &report.bundle) {
        let more = hosts::compare(manifest, bundle, args.environment.development)?;
        lines.errors.extend(more.errors);
        lines.warnings.extend(more.warnings);
    }
    let text = match args.format {
        Format::Json => format!("{}\n", as_json(&lines, report.bundle.as_ref())),
        Format::Text => as_text(&lines, report.bundle.as_ref()),
    };
    let warned = args.deny_warnings && !lines.warnings.is_empty();
    Ok((text, lines.errors.is_empty() && !warned))
}

fn as_text(lines: &Lines, bundle: Option<&Bundle>) -> String {
    let of = |kind: &str, line: &Line| match line.position {
        Some(Position { line: at, column }) => {
            format!("{kind}: {}:{at}:{column}: {}\n", line.file, line.message)
        }
        None => format!("{kind}: {}: {}\n", line.file, line.message),
    };
    let mut text: String = lines.errors.iter().map(|line| of("error", line)).collect();
    text.extend(lines.warnings.iter().map(|line| of("warning", line)));
    if let Some(bundle) = bundle {
        let rules = count(bundle.rules().len(), "rule");
        let issuers = count(bundle.issuers_of_all_environments().count(), "issuer");
        let audiences = count(bundle.audiences().count(), "audience");
        let (name, version, digest) = (&bundle.name, &bundle.version, bundle.digest());
        text.push_str(&format!(
            "bundle {name} {version}: {issuers}, {audiences}, {rules}, sha256 {digest}\n"
        ));
    }
    let errors = count(lines.errors.len(), "error");
    text.push_str(&format!(
        "{errors}, {}\n",
        count(lines.warnings.len(), "warning")
    ));
    text
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn as_json(lines: &Lines, bundle: Option<&Bundle>) -> Value {
    let of = |line: &Line| {
        json!({
            "file": line.file,
            "line": line.position.map(|at| at.line),
            "column": line.position.map(|at| at.column),
            "message": line.message,
        })
    };
    json!({
        "errors": lines.errors.iter().map(of).collect::<Vec<_>>(),
        "warnings": lines.warnings.iter().map(of).collect::<Vec<_>>(),
        "bundle": bundle.map(|bundle| json!({
            "name": bundle.name, "version": bundle.version, "digest": bundle.digest(),
        })),
    })
}
