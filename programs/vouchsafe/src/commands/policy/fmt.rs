//! `vouchsafe policy fmt`: rules in Cedar's usual layout.

use super::output::write_file;
use crate::commands::Failure;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_policy_tools::formatted;

/// Lay the rules of a trust bundle out as Cedar's own formatter does.
///
/// Comments stay. What a rule says never changes: it is compared before a file is written.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 every file is in layout now, 1 with --check, one is not; or one is not Cedar, 2 wrong use.

Examples:
  vouchsafe policy fmt policies
  vouchsafe policy fmt policies --check")]
pub struct Args {
    /// The folder that holds `bundle.toml`.
    dir: PathBuf,
    /// Write nothing; name the files that are not in layout.
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, passed) = format(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!passed)))
}

/// What to print, and whether all is in layout.
pub(super) fn format(args: &Args) -> Result<(String, bool), Failure> {
    let mut text = String::new();
    let mut in_layout = true;
    for path in rule_files(&args.dir)? {
        let shown = path.display();
        let before = std::fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("cannot read `{shown}`: {error}")))?;
        let after = formatted(&before).map_err(|error| {
            Failure::refused(format!("{shown}: {error}")).hint(format!(
                "run `vouchsafe policy check {}`",
                args.dir.display()
            ))
        })?;
        if before == after {
            continue;
        }
        match args.check {
            true => {
                in_layout = false;
                text.push_str(&format!("{shown} is not in layout\n"));
            }
            false => {
                write_file(&path, &after)?;
                text.push_str(&format!("{shown} written\n"));
            }
        }
    }
    Ok((text, in_layout))
}

/// `rules/*.cedar` in the order of their names. A link is not followed: what it names is no bundle's.
fn rule_files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let rules = dir.join("rules");
    let entries = std::fs::read_dir(&rules).map_err(|error| {
        Failure::usage(format!("cannot read `{}`: {error}", rules.display()))
            .hint("give the folder that holds `bundle.toml`")
    })?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "cedar"))
        .collect();
    files.sort();
    Ok(files)
}
