//! Reads a bundle from a folder, and an issuer's credential from another one.
//!
//! The only module that accesses a file system, natively and in the policy component. Symbolic links are refused, not
//! followed: the digest must cover exactly what is in the folder.

use crate::bundle::files::{BundleFiles, check_path};
use crate::diagnostics::{BundleError, Diagnostic, LoadError};
use crate::limits::{CREDENTIAL_BYTES_MAX, FILE_BYTES_MAX, FOLDER_DEPTH_MAX, PATH_BYTES_MAX};
use std::fs::{DirEntry, File};
use std::io::Read;
use std::path::Path;

/// Reads every file below `root`.
///
/// # Errors
/// Every link, hidden file and other file that a bundle cannot have, up to the first limit that is exceeded.
pub fn read(root: &Path) -> Result<BundleFiles, LoadError> {
    let (files, diagnostics) = read_readable(root);
    match diagnostics.is_empty() {
        true => Ok(files),
        false => Err(LoadError { diagnostics }),
    }
}

/// Reads what can be read below `root`, and returns the errors about everything else in path order.
/// With errors the files are not a bundle, but can be checked for further errors.
pub fn read_readable(root: &Path) -> (BundleFiles, Vec<Diagnostic>) {
    let mut reader = Reader::default();
    if let Err(diagnostic) = reader.folder(root, "", 0) {
        reader.diagnostics.push(diagnostic);
    }
    let Reader { files, mut diagnostics } = reader;
    diagnostics.sort_by(|one, next| one.file.cmp(&next.file));
    (files, diagnostics)
}

/// Reads the credential in file `name` of `root` and trims white space. Follows links, because Kubernetes replaces a
/// rotated token by changing one.
///
/// # Errors
/// Why there is no credential. The text contains the path, never the content.
pub fn read_credential(root: &Path, name: &str) -> Result<String, String> {
    let path = root.join(name);
    let cannot = |what: &str| format!("`{}` {what}", path.display());
    let content = read_file(&path, CREDENTIAL_BYTES_MAX).map_err(|error| cannot(&format!("can't be read: {error}")))?;
    if content.len() > CREDENTIAL_BYTES_MAX {
        return Err(cannot(&format!("has over {CREDENTIAL_BYTES_MAX} bytes")));
    }
    let text = String::from_utf8(content).map_err(|_| cannot("is not UTF-8"))?;
    match text.trim() {
        "" => Err(cannot("is empty")),
        text => Ok(text.to_owned()),
    }
}

/// Enough for most files: one call reads the file, a second one finds its end.
const READ_BYTES: usize = 8 * 1024;

#[derive(Default)]
struct Reader {
    files: BundleFiles,
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    /// Reads one folder. Only an exceeded limit is returned as an error, and ends the reading.
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Diagnostic> {
        let shown = if prefix.is_empty() { "." } else { prefix };
        if depth > FOLDER_DEPTH_MAX {
            let depth_max = FOLDER_DEPTH_MAX;
            return Err(Diagnostic::of_file(shown, BundleError::TooDeep { depth_max }));
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.diagnostics.push(cannot_read(shown, &error));
                return Ok(());
            }
        };
        for entry in entries {
            let read =
                entry.map_err(|error| cannot_read(shown, &error)).and_then(|entry| self.entry(&entry, prefix, depth));
            match read {
                Ok(()) => {}
                Err(diagnostic) if is_limit(&diagnostic.kind) => return Err(diagnostic),
                Err(diagnostic) => self.diagnostics.push(diagnostic),
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, prefix: &str, depth: usize) -> Result<(), Diagnostic> {
        let path = path_of(entry, prefix)?;
        check_path(&path)?;
        let kind = entry.file_type().map_err(|error| cannot_read(&path, &error))?;
        // ORDER: a symbolic link is refused before its target is accessed.
        if kind.is_symlink() {
            return Err(Diagnostic::of_file(&path, BundleError::SymbolicLink));
        }
        if kind.is_dir() {
            return self.folder(&entry.path(), &path, depth.saturating_add(1));
        }
        if !kind.is_file() {
            return Err(Diagnostic::of_file(&path, BundleError::NotAFile));
        }
        let content = read_file(&entry.path(), FILE_BYTES_MAX).map_err(|error| cannot_read(&path, &error))?;
        self.files.add(&path, content)
    }
}

/// Whether reading further could only repeat the error, or read without bound.
fn is_limit(error: &BundleError) -> bool {
    matches!(error, BundleError::BundleTooLarge { .. } | BundleError::FilesTooMany { .. } | BundleError::TooDeep { .. })
}

fn path_of(entry: &DirEntry, prefix: &str) -> Result<String, Diagnostic> {
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        let shown = format!("{prefix}/{}", name.to_string_lossy());
        return Err(Diagnostic::of_file(&shown, BundleError::PathInvalid { bytes_max: PATH_BYTES_MAX }));
    };
    Ok(if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") })
}

/// Reads at most one byte more than allowed, so that the caller can detect a file that is too large.
fn read_file(path: &Path, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(READ_BYTES);
    File::open(path)?.take((bytes_max as u64).saturating_add(1)).read_to_end(&mut content)?;
    content.shrink_to_fit();
    Ok(content)
}

fn cannot_read(file: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::of_file(file, BundleError::CannotRead(error.to_string()))
}
