//! `vouchsafe policy fmt`: policies in Cedar's layout.

use super::bundle::{DIR_DEFAULT, must_have_bundle};
use super::output::{quoted, write_file};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::Failure;
use vouchsafe_policy_tools::format_policies;

/// Format the policies of a trust bundle with Cedar's formatter.
///
/// Keeps comments. The meaning of each policy is compared before a file is written.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 all files are formatted, 1 with --check, a file is not; or a file is not valid Cedar, 2 usage error.

Examples:
  vouchsafe policy fmt
  vouchsafe policy fmt policies --check")]
pub struct Args {
    /// The folder that contains `bundle.toml`.
    #[arg(default_value = DIR_DEFAULT)]
    dir: PathBuf,
    /// Write nothing, and list the files that are not formatted.
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (text, passed) = format(args)?;
    print!("{text}");
    Ok(ExitCode::from(u8::from(!passed)))
}

/// The output, and whether all files are formatted.
pub(super) fn format(args: &Args) -> Result<(String, bool), Failure> {
    must_have_bundle(&args.dir)?;
    let mut text = String::new();
    let mut is_formatted = true;
    for path in policy_files(&args.dir)? {
        let shown = path.display();
        let before = std::fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("cannot read `{shown}`: {error}")))?;
        let after = format_policies(&before).map_err(|error| {
            Failure::refused(format!("{shown}: {error}"))
                .hint(format!("run `vouchsafe policy check {}`", quoted(&args.dir)))
        })?;
        if before == after {
            continue;
        }
        match args.check {
            true => {
                is_formatted = false;
                text.push_str(&format!("{shown} is not formatted\n"));
            }
            false => {
                write_file(&path, &after)?;
                text.push_str(&format!("{shown} written\n"));
            }
        }
    }
    Ok((text, is_formatted))
}

/// `rules/*.cedar`, sorted by name. Symbolic links are skipped: a bundle has none.
fn policy_files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let policies = dir.join("rules");
    let entries = match std::fs::read_dir(&policies) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::usage(format!("cannot read `{}`: {error}", policies.display()))),
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "cedar"))
        .collect();
    files.sort();
    Ok(files)
}
