//! A bundle's files in memory, and the digest that identifies them.

use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::{BUNDLE_BYTES_MAX, FILE_BYTES_MAX, FILES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use vouchsafe_providers::is_unprintable;

/// The bundle's manifest.
pub(crate) const MANIFEST_FILE: &str = "bundle.toml";
/// The record that the guardrails were proven.
pub const PROOF_FILE: &str = "guardrails/proof.toml";
/// The Cedar schema of the bundle.
pub(crate) const SCHEMA_FILE: &str = "schema.cedarschema";

/// Files by path. Paths are relative to the bundle and separate folders with `/`.
///
/// INVARIANT: within every limit of [`crate::limits`], and without hidden files or folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleFiles {
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl BundleFiles {
    /// Adds a file.
    ///
    /// # Errors
    /// A bundle cannot have such a file, or a limit is exceeded.
    pub fn add(&mut self, path: &str, content: Vec<u8>) -> Result<(), Diagnostic> {
        check_path(path)?;
        let refuse = |error| Err(Diagnostic::of_file(path, error));
        if content.len() > FILE_BYTES_MAX {
            return refuse(BundleError::FileTooLarge { bytes_max: FILE_BYTES_MAX });
        }
        let bytes = self.bytes.saturating_add(content.len());
        if bytes > BUNDLE_BYTES_MAX {
            return refuse(BundleError::BundleTooLarge { bytes_max: BUNDLE_BYTES_MAX });
        }
        if self.files.len() >= FILES_MAX {
            return refuse(BundleError::FilesTooMany { files_max: FILES_MAX });
        }
        self.bytes = bytes;
        self.files.insert(path.to_owned(), content);
        Ok(())
    }

    /// All files in path order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// The content of the file at `path`.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The lowercase hexadecimal SHA-256 over every path and content in path order. Each is preceded by its length as
    /// a big-endian u64, so that different bundles never hash the same bytes.
    pub fn digest(&self) -> String {
        hex_digest(self.parts(|_| true))
    }

    /// A digest with a `purpose` over the files whose paths `matters` accepts.
    pub(crate) fn digest_of(&self, purpose: &str, matters: impl Fn(&str) -> bool) -> String {
        hex_digest(std::iter::once(purpose.as_bytes()).chain(self.parts(matters)))
    }

    /// Path and content of each file that `matters`, in path order.
    fn parts(&self, matters: impl Fn(&str) -> bool) -> impl Iterator<Item = &[u8]> {
        let files = self.files.iter().filter(move |(path, _)| matters(path));
        files.flat_map(|(path, content)| [path.as_bytes(), content.as_slice()])
    }
}

/// The SHA-256 of all parts, each preceded by its length.
fn hex_digest<'p>(parts: impl Iterator<Item = &'p [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    base16ct::lower::encode_string(&hash.finalize())
}

/// Checks the path of a file or folder.
pub(crate) fn check_path(path: &str) -> Result<(), Diagnostic> {
    let refuse = |error| Err(Diagnostic::of_file(&path.escape_debug().to_string(), error));
    if path.len() > PATH_BYTES_MAX || path.chars().any(is_unprintable) {
        return refuse(BundleError::PathInvalid { bytes_max: PATH_BYTES_MAX });
    }
    if path.split('/').any(|name| name.starts_with('.')) {
        return refuse(BundleError::HiddenFile);
    }
    if path.split('/').any(|name| name.is_empty() || name.contains('\\')) {
        return refuse(BundleError::PathInvalid { bytes_max: PATH_BYTES_MAX });
    }
    Ok(())
}

/// The content of a file as text, which must be UTF-8.
pub(crate) fn utf8<'a>(path: &str, content: &'a [u8]) -> Result<&'a str, Diagnostic> {
    std::str::from_utf8(content).map_err(|_| Diagnostic::of_file(path, BundleError::FileNotUtf8))
}

/// The text of the file at `path`; empty if there is no such file or it is not UTF-8.
pub fn text_of<'f>(files: &'f BundleFiles, path: &str) -> &'f str {
    std::str::from_utf8(files.content(path).unwrap_or_default()).unwrap_or_default()
}

/// Whether `name` is 1 to 128 characters of `a-z`, `0-9` and `-`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
