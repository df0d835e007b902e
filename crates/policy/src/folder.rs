//! Reads a bundle from a folder, and an issuer's credential from another, natively and in the policy
//! component alike.
//!
//! The only module that touches a file system. Symbolic links are refused, not followed: what the
//! digest names must be what lies in the folder.

use crate::error::{Finding, InvalidBundle, Problem};
use crate::files::{BundleFiles, check_path};
use crate::limits::{CREDENTIAL_BYTES_MAX, FILE_BYTES_MAX, FOLDER_DEPTH_MAX, PATH_BYTES_MAX};
use std::fs::{DirEntry, File};
use std::io::Read;
use std::path::Path;

/// Reads every file below `root`, or says everything that is wrong with what lies there.
///
/// # Errors
/// Links, hidden and other files that a bundle can't have; the first limit that is reached.
pub fn read(root: &Path) -> Result<BundleFiles, InvalidBundle> {
    let (files, findings) = read_readable(root);
    match findings.is_empty() {
        true => Ok(files),
        false => Err(InvalidBundle { findings }),
    }
}

/// Reads what can be read below `root`, with everything that is wrong with what lies there, in path order.
/// With findings it is no bundle: only for saying what else is wrong.
pub fn read_readable(root: &Path) -> (BundleFiles, Vec<Finding>) {
    let mut reader = Reader::default();
    if let Err(finding) = reader.folder(root, "", 0) {
        reader.findings.push(finding);
    }
    let Reader {
        files,
        mut findings,
    } = reader;
    findings.sort_by(|one, next| one.file.cmp(&next.file));
    (files, findings)
}

/// The credential in `root`'s file `name`, without the white space around it. Links are followed: that is
/// how Kubernetes swaps a rotated token in.
///
/// # Errors
/// Why there is none. The text names the file, never its content.
pub fn read_credential(root: &Path, name: &str) -> Result<String, String> {
    let path = root.join(name);
    let cannot = |what: &str| format!("`{}` {what}", path.display());
    let content = read_file(&path, CREDENTIAL_BYTES_MAX)
        .map_err(|error| cannot(&format!("can't be read: {error}")))?;
    if content.len() > CREDENTIAL_BYTES_MAX {
        return Err(cannot(&format!("has over {CREDENTIAL_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(content).map_err(|_| cannot("is not UTF-8"))?;
    match text.trim() {
        "" => Err(cannot("is empty")),
        text => Ok(text.to_owned()),
    }
}

/// What a file is expected to have at most: one call reads such a file, another finds its end.
const READ_BYTES: usize = 8 * 1024;

#[derive(Default)]
struct Reader {
    files: BundleFiles,
    findings: Vec<Finding>,
}

impl Reader {
    /// Reads one folder; an error is a limit, behind which nothing is looked at.
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Finding> {
        let shown = if prefix.is_empty() { "." } else { prefix };
        if depth > FOLDER_DEPTH_MAX {
            let depth_max = FOLDER_DEPTH_MAX;
            return Err(Finding::of_file(shown, Problem::TooDeep { depth_max }));
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.findings.push(cannot_read(shown, &error));
                return Ok(());
            }
        };
        for entry in entries {
            let read = entry
                .map_err(|error| cannot_read(shown, &error))
                .and_then(|entry| self.entry(&entry, prefix, depth));
            match read {
                Ok(()) => {}
                Err(finding) if is_limit(&finding.problem) => return Err(finding),
                Err(finding) => self.findings.push(finding),
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, prefix: &str, depth: usize) -> Result<(), Finding> {
        let path = path_of(entry, prefix)?;
        check_path(&path)?;
        let kind = entry
            .file_type()
            .map_err(|error| cannot_read(&path, &error))?;
        // ORDER: a symbolic link is refused before anything behind it is looked at.
        if kind.is_symlink() {
            return Err(Finding::of_file(&path, Problem::SymbolicLink));
        }
        if kind.is_dir() {
            return self.folder(&entry.path(), &path, depth.saturating_add(1));
        }
        if !kind.is_file() {
            return Err(Finding::of_file(&path, Problem::NotAFile));
        }
        let content =
            read_file(&entry.path(), FILE_BYTES_MAX).map_err(|error| cannot_read(&path, &error))?;
        self.files.add(&path, content)
    }
}

/// Whether reading on could only repeat the finding, or read without bound.
fn is_limit(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::BundleTooLarge { .. } | Problem::FilesTooMany { .. } | Problem::TooDeep { .. }
    )
}

fn path_of(entry: &DirEntry, prefix: &str) -> Result<String, Finding> {
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        let shown = format!("{prefix}/{}", name.to_string_lossy());
        return Err(Finding::of_file(
            &shown,
            Problem::PathInvalid {
                bytes_max: PATH_BYTES_MAX,
            },
        ));
    };
    Ok(if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    })
}

/// Reads one byte more than allowed, so that the caller sees what is too large.
fn read_file(path: &Path, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(READ_BYTES);
    File::open(path)?
        .take((bytes_max as u64).saturating_add(1))
        .read_to_end(&mut content)?;
    content.shrink_to_fit();
    Ok(content)
}

fn cannot_read(file: &str, error: &std::io::Error) -> Finding {
    Finding::of_file(file, Problem::CannotRead(error.to_string()))
}
