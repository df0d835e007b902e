//! `vouchsafe policy diff`: the effect of replacing one bundle with another.

use super::audit;
use super::bundle::{EnvironmentArgs, read_folder};
use super::output::count;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format, clock};
use vouchsafe_policy::BundleFiles;
use vouchsafe_policy_tools::RecordedRequest;
use vouchsafe_policy_tools::diff::{Change, Difference, Direction, Side, Subject, diff};

/// Show who gets more and who gets less when one trust bundle replaces another.
///
/// Decides the test cases of both and, with --replay, recorded requests. Lists changed policies, settings,
/// and pairs of principal type and audience. A change that may both widen and narrow is listed under
/// `either way`.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 no change of the kind that --fail-on names, 1 such a change, or a bundle does not load,
2 usage error.

Examples:
  vouchsafe policy diff main/policies policies
  vouchsafe policy diff main/policies policies --replay .state --since 24h --fail-on widening
  vouchsafe policy diff main/policies policies --replay decisions.json --format json")]
pub struct Args {
    /// The bundle that is in use.
    old: PathBuf,
    /// The bundle that would replace it.
    new: PathBuf,
    /// Also decide recorded requests, from a broker's state directory or an exported file.
    #[arg(long, value_name = "STATE")]
    replay: Option<PathBuf>,
    /// Replay only decisions of the last DURATION, such as 30m, 24h or 7d; default: all.
    #[arg(long, value_name = "DURATION", requires = "replay")]
    since: Option<String>,
    /// Which changes make the exit code 1.
    #[arg(long, value_enum, default_value = "any")]
    fail_on: FailOn,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
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
    Ok(ExitCode::from(u8::from(failed)))
}

/// The output, and whether there is a change to fail on.
pub(super) fn compare(args: &Args) -> Result<(String, bool), Failure> {
    let environment = args.environment.environment();
    let (old_files, new_files) = (files(&args.old)?, files(&args.new)?);
    let old = Side::load(&old_files, &environment).map_err(|it| unloadable(&args.old, &it))?;
    let new = Side::load(&new_files, &environment).map_err(|it| unloadable(&args.new, &it))?;
    let (recorded, unreadable) = recorded(args)?;
    let difference = diff(&old, &new, &recorded).map_err(|it| unloadable(&args.new, &it))?;
    let failed = match args.fail_on {
        FailOn::Any => !difference.is_empty(),
        FailOn::Narrowing => difference.narrows(),
        FailOn::Never => false,
        FailOn::Widening => difference.widens(),
    };
    let text = match args.format {
        Format::Json => format!("{}\n", as_json(&difference, &old, &new, unreadable)),
        Format::Text => as_text(&difference, unreadable),
    };
    Ok((text, failed))
}

fn files(dir: &Path) -> Result<BundleFiles, Failure> {
    read_folder(dir)?.map_err(|invalid| unloadable(dir, &invalid))
}

fn unloadable(dir: &Path, error: &dyn std::error::Error) -> Failure {
    let dir = dir.display();
    Failure::refused(format!("`{dir}` does not load\n{error}")).hint(format!("run `vouchsafe policy check {dir}`"))
}

/// The recorded requests, and the number of unreadable records.
fn recorded(args: &Args) -> Result<(Vec<(String, RecordedRequest)>, usize), Failure> {
    let Some(state) = &args.replay else {
        return Ok((Vec::new(), 0));
    };
    let since_ms = match &args.since {
        None => 0,
        Some(text) => clock::unix_seconds()?.saturating_sub(seconds(text)?).saturating_mul(1000),
    };
    let records = audit::since(state, since_ms)?;
    let total = records.len();
    let parsed: Vec<(String, RecordedRequest)> = records
        .into_iter()
        .filter_map(|record| {
            let request = RecordedRequest::parse(&record.cedar_request).ok()?;
            Some((record.decision_id, request))
        })
        .collect();
    let unreadable = total - parsed.len();
    Ok((parsed, unreadable))
}

fn seconds(text: &str) -> Result<u64, Failure> {
    let parsed = text.split_at_checked(text.len().saturating_sub(1));
    let seconds = parsed.and_then(|(digits, unit)| {
        let unit = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(unit)
    });
    seconds.ok_or_else(|| {
        Failure::usage(format!("`{text}` is not a duration")).hint("use a duration such as 30m, 24h or 7d")
    })
}

fn as_text(difference: &Difference, unreadable: usize) -> String {
    let mut text = String::new();
    for takeover in &difference.takeovers {
        text.push_str(&format!(
            "warning: issuer `{}` would be {} instead of {}: its workloads would get what those of the \
             old issuer get\n",
            takeover.issuer, takeover.new, takeover.old
        ));
    }
    for (direction, title) in
        [(Direction::Widening, "widening"), (Direction::Either, "either way"), (Direction::Narrowing, "narrowing")]
    {
        let mut changes = difference.of(direction).peekable();
        if changes.peek().is_some() {
            text.push_str(&format!("{title}:\n"));
        }
        text.extend(changes.map(change_text));
    }
    if unreadable > 0 {
        let records = count(unreadable, "recorded request");
        text.push_str(&format!("note: skipped {records} that cannot be parsed\n"));
    }
    let number = |direction| difference.of(direction).count();
    text.push_str(&format!(
        "{} decided by both: {} widening, {} either way, {} narrowing, {}\n",
        count(difference.decided, "request"),
        number(Direction::Widening),
        number(Direction::Either),
        number(Direction::Narrowing),
        count(difference.takeovers.len(), "issuer URL"),
    ));
    text
}

fn change_text(change: &Change) -> String {
    let Change { name, old, new, .. } = change;
    let kind = kind(change.subject);
    match change.direction {
        Direction::Either => format!("  {kind} {name}:\n    - {old}\n    + {new}\n"),
        Direction::Narrowing | Direction::Widening => {
            format!("  {kind} {name}: {old} -> {new}\n")
        }
    }
}

fn kind(subject: Subject) -> &'static str {
    match subject {
        Subject::Audience => "audience",
        Subject::Case => "case",
        Subject::Issuer => "issuer",
        Subject::Group => "group",
        Subject::Pair => "pair",
        Subject::Recorded => "decision",
        Subject::Policy => "rule",
        Subject::Zone => "zone",
    }
}

fn as_json(difference: &Difference, old: &Side<'_>, new: &Side<'_>, unreadable: usize) -> Value {
    let of = |direction| {
        let changes = difference.of(direction).map(|change| {
            json!({
                "kind": kind(change.subject), "name": change.name,
                "old": change.old, "new": change.new,
            })
        });
        changes.collect::<Vec<_>>()
    };
    let takeovers = difference
        .takeovers
        .iter()
        .map(|takeover| json!({ "issuer": takeover.issuer, "old": takeover.old, "new": takeover.new }));
    json!({
        "old": old.bundle.digest(),
        "new": new.bundle.digest(),
        "decided": difference.decided,
        "unreadable": unreadable,
        "issuer_urls": takeovers.collect::<Vec<_>>(),
        "widening": of(Direction::Widening),
        "either": of(Direction::Either),
        "narrowing": of(Direction::Narrowing),
    })
}
