//! `vouchsafe keys discover`: long-lived secrets in files that the broker's tokens could replace.

use crate::commands::policy::bundle::DIR_DEFAULT;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use vouchsafe_cli::{Failure, Format, files};
use vouchsafe_discover::{Finding, Kind, scan};
use vouchsafe_policy::{Bundle, Environment, folder};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most files and folders that are looked at.
const ENTRIES_MAX: usize = 100_000;
/// Folders with what others wrote, or with what was built.
const SKIPPED: [&str; 5] = [".git", ".venv", "node_modules", "target", "vendor"];

/// Find long-lived secrets that the broker's tokens could replace.
///
/// Looks for names and shapes of known secrets in workflows, manifests and files of variables, and says what replaces each.
/// Never prints a value. It finds what it knows; use a secret scanner to find everything.
#[derive(clap::Args)]
#[command(after_help = "\
Exit codes: 0 none found, 1 some found, 2 usage error or a file cannot be read.

Examples:
  vouchsafe keys discover
  vouchsafe keys discover .github deploy --format json")]
pub struct Args {
    /// Files and folders to search. Folders named .git, .venv, node_modules, target and vendor below them are skipped, and
    /// so are symbolic links, binary files, and files over 1 MiB.
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// The folder of a bundle whose audiences are named as replacements; default: `policies`, if it is there.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

struct Found {
    path: PathBuf,
    finding: Finding,
    /// The audience of the bundle whose tokens replace it.
    audience: Option<String>,
}

pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let bundle = bundle(args.bundle.as_deref())?;
    let mut found = Vec::new();
    for path in files_below(&args.paths)? {
        for finding in scan(&text(&path)?) {
            let audience = bundle.as_ref().and_then(|bundle| audience_for(bundle, finding.kind));
            found.push(Found { path: path.clone(), finding, audience });
        }
    }
    match args.format {
        Format::Json => println!("{:#}", Value::from_iter(found.iter().map(row))),
        Format::Text => found.iter().for_each(|found| println!("{}", line(found))),
    }
    if args.format == Format::Text {
        eprintln!("{} found", found.len());
    }
    Ok(ExitCode::from(u8::from(!found.is_empty())))
}

/// The bundle, if one is named or there is one in the default place.
fn bundle(dir: Option<&Path>) -> Result<Option<Bundle>, Failure> {
    let default = Path::new(DIR_DEFAULT);
    let dir = match dir {
        None if !default.join("bundle.toml").is_file() => return Ok(None),
        dir => dir.unwrap_or(default),
    };
    let environment =
        Environment { issuer: "https://broker.example".to_owned(), development: true, epoch_seconds: 604_800 };
    let loaded = folder::read(dir).and_then(|files| Bundle::load(&files, &environment));
    loaded.map(Some).map_err(|error| Failure::file(dir, error).hint("`vouchsafe policy check` explains each error"))
}

fn audience_for(bundle: &Bundle, kind: &Kind) -> Option<String> {
    let view = kind.view?;
    let mut audiences = bundle.audiences();
    let of_view = audiences.find(|audience| audience.view.is_some_and(|it| it.preset().name == view));
    of_view.map(|audience| audience.id.clone())
}

/// All files at or below `paths`, in order.
fn files_below(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut left = ENTRIES_MAX;
    for path in paths {
        let metadata = path.symlink_metadata().map_err(|error| Failure::file(path, error))?;
        if metadata.is_dir() {
            collect(path, &mut found, &mut left).map_err(|error| Failure::file(path, error))?;
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>, left: &mut usize) -> io::Result<()> {
    let mut entries: Vec<_> = folder.read_dir()?.collect::<io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        *left = left.checked_sub(1).ok_or_else(|| io::Error::other(format!("more than {ENTRIES_MAX} files")))?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
            collect(&entry.path(), found, left)?;
        } else if kind.is_file() && entry.metadata()?.len() <= FILE_BYTES_MAX {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// The text of a file; empty if it is binary.
fn text(path: &Path) -> Result<String, Failure> {
    let bytes = files::read(path, FILE_BYTES_MAX)?;
    Ok(if bytes.contains(&0) { String::new() } else { String::from_utf8_lossy(&bytes).into_owned() })
}

fn replacement(found: &Found) -> String {
    let kind = found.finding.kind;
    match (&found.audience, kind.view) {
        (Some(audience), _) => format!("audience `{audience}`: {}", kind.instead),
        (None, Some(view)) => format!("an audience with `view = \"{view}\"`: {}", kind.instead),
        (None, None) => kind.instead.to_owned(),
    }
}

fn line(found: &Found) -> String {
    let Finding { line, kind, name } = &found.finding;
    let named = if name.is_empty() { String::new() } else { format!(" `{name}`") };
    format!("{}:{line}: {}{named}\n  replaced by {}", found.path.display(), kind.what, replacement(found))
}

fn row(found: &Found) -> Value {
    let Finding { line, kind, name } = &found.finding;
    json!({
        "path": found.path.display().to_string(),
        "line": line,
        "kind": kind.code,
        "name": (!name.is_empty()).then_some(name),
        "audience": found.audience,
        "view": kind.view,
        "replacement": replacement(found),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_what_others_wrote_and_what_is_too_large() {
        let folder = std::env::temp_dir().join(format!("vouchsafe-discover-{}", std::process::id()));
        for (path, bytes) in [("a/.env", 10), ("a/large", 1_048_577), ("a/limit", 1_048_576), ("node_modules/x", 10)] {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![b' '; bytes]).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
        let found = files_below(std::slice::from_ref(&folder)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [folder.join("a/.env"), folder.join("a/limit")]);
    }
}
