//! Reads a bundle from a commit, by `git` as a subprocess. Works on what is committed: the work tree stays as it is.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use vouchsafe_cli::Failure;
use vouchsafe_policy::limits::FILE_BYTES_MAX;
use vouchsafe_policy::{BundleError, BundleFiles, Diagnostic, LoadError};

/// A file of a commit.
struct Entry {
    object: String,
    path: String,
}

/// Reads the folder `dir` as it is in the commit that `reference` names, with the rules for folders: no symbolic links
/// and no hidden files.
pub fn read(dir: &Path, reference: &str) -> Result<Result<BundleFiles, LoadError>, Failure> {
    let commit = commit(dir, reference)?;
    let prefix = line(&git(dir, &["rev-parse", "--show-prefix"])?);
    let tree = format!("{commit}:{prefix}");
    let listed = git(dir, &["ls-tree", "-r", "-z", "--full-tree", &tree])?;
    if !listed.status.success() {
        let folder = prefix.trim_end_matches('/');
        return Err(Failure::refused(format!("`{reference}` has no folder `{folder}`")));
    }
    let mut files = BundleFiles::default();
    let (entries, mut diagnostics) = entries(&listed.stdout);
    if let Err(diagnostic) = contents(dir, &entries, &mut files)? {
        diagnostics.push(diagnostic);
    }
    Ok(match diagnostics.is_empty() {
        true => Ok(files),
        false => Err(LoadError { diagnostics }),
    })
}

/// The commit that `reference` names.
fn commit(dir: &Path, reference: &str) -> Result<String, Failure> {
    let shown = dir.display();
    if !git(dir, &["rev-parse", "--is-inside-work-tree"])?.stdout.starts_with(b"true") {
        return Err(Failure::usage(format!("`{shown}` is not in the work tree of a git repository"))
            .hint("pass two folders instead of `--base`"));
    }
    let unknown = || {
        Failure::usage(format!("`{reference}` is not a commit of the git repository of `{shown}`"))
            .hint("fetch it first: a shallow clone has only one commit")
    };
    // Git would read it as an option.
    if reference.starts_with('-') {
        return Err(unknown());
    }
    let found = git(dir, &["rev-parse", "--verify", "--quiet", &format!("{reference}^{{commit}}")])?;
    if found.status.success() { Ok(line(&found)) } else { Err(unknown()) }
}

fn git(dir: &Path, arguments: &[&str]) -> Result<Output, Failure> {
    Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_run(&error))
}

fn cannot_run(error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot run `git`: {error}")).hint("install git, or pass two folders instead of `--base`")
}

fn line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned()
}

/// The regular files of `ls-tree -z`, and errors about everything else.
fn entries(listed: &[u8]) -> (Vec<Entry>, Vec<Diagnostic>) {
    let (mut entries, mut diagnostics) = (Vec::new(), Vec::new());
    for entry in listed.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        // `MODE TYPE OBJECT<tab>PATH`; a path that is not UTF-8 is refused when it is added.
        let text = String::from_utf8_lossy(entry);
        let (head, path) = text.split_once('\t').unwrap_or_default();
        let mut words = head.split(' ');
        let (mode, object) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
        match mode {
            "100644" | "100755" => entries.push(Entry { object: object.to_owned(), path: path.to_owned() }),
            "120000" => diagnostics.push(Diagnostic::of_file(path, BundleError::SymbolicLink)),
            _ => diagnostics.push(Diagnostic::of_file(path, BundleError::NotAFile)),
        }
    }
    (entries, diagnostics)
}

/// Adds the content of each entry to `files`, until one of them is not allowed.
fn contents(dir: &Path, entries: &[Entry], files: &mut BundleFiles) -> Result<Result<(), Diagnostic>, Failure> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| cannot_run(&error))?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let added = match (input, output) {
        (Some(mut input), Some(output)) => {
            let mut output = BufReader::new(output);
            let mut add = |entry: &Entry| -> std::io::Result<Result<(), Diagnostic>> {
                writeln!(input, "{}", entry.object)?;
                input.flush()?;
                Ok(files.add(&entry.path, blob(&mut output)?))
            };
            entries.iter().try_fold(Ok(()), |done, entry| match done {
                Ok(()) => add(entry),
                refused => Ok(refused),
            })
        }
        _ => Err(std::io::Error::other("no pipe")),
    };
    // It ends by itself, since its input is closed; after an error nothing of it is needed.
    let _ = child.kill();
    let _ = child.wait();
    added.map_err(|error| Failure::refused(format!("cannot read the bundle from git: {error}")))
}

/// The next object of `cat-file --batch`: `OBJECT blob SIZE`, a line feed, the content, and a line feed. A content that
/// is too large for a bundle is cut off after one byte too many, which refuses it.
fn blob(output: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut head = String::new();
    output.read_line(&mut head)?;
    let size = head.trim_end().rsplit(' ').next().and_then(|size| size.parse::<u64>().ok());
    let size = size.ok_or_else(|| std::io::Error::other(format!("unexpected answer `{}`", head.trim_end())))?;
    let kept = size.min((FILE_BYTES_MAX as u64).saturating_add(1));
    let mut content = Vec::new();
    output.by_ref().take(kept).read_to_end(&mut content)?;
    std::io::copy(&mut output.by_ref().take(size.saturating_sub(kept).saturating_add(1)), &mut std::io::sink())?;
    Ok(content)
}
