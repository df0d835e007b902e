//! A bundle's files in memory: which may be there, and the digest that names them.

use crate::error::{Finding, Problem};
use crate::limits::{BUNDLE_BYTES_MAX, FILE_BYTES_MAX, FILES_MAX, PATH_BYTES_MAX};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use vouchsafe_providers::is_unprintable;

/// Paths, relative to the bundle and with `/` between folders, with their contents.
///
/// INVARIANT: within every limit of [`crate::limits`]; no hidden name anywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleFiles {
    files: BTreeMap<String, Vec<u8>>,
    bytes: usize,
}

impl BundleFiles {
    /// Adds one file, or says which rule it breaks.
    pub fn add(&mut self, path: &str, content: Vec<u8>) -> Result<(), Finding> {
        check_path(path)?;
        let refuse = |problem| Err(Finding::of_file(path, problem));
        if content.len() > FILE_BYTES_MAX {
            return refuse(Problem::FileTooLarge {
                bytes_max: FILE_BYTES_MAX,
            });
        }
        let bytes = self.bytes.saturating_add(content.len());
        if bytes > BUNDLE_BYTES_MAX {
            return refuse(Problem::BundleTooLarge {
                bytes_max: BUNDLE_BYTES_MAX,
            });
        }
        if self.files.len() >= FILES_MAX {
            return refuse(Problem::FilesTooMany {
                files_max: FILES_MAX,
            });
        }
        self.bytes = bytes;
        self.files.insert(path.to_owned(), content);
        Ok(())
    }

    /// All files in path order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// The content of the file at `path`.
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Lower-case hex SHA-256 over every path and content in path order, each preceded by its
    /// length as a big-endian u64, so that no two bundles give the same bytes to hash.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (path, content) in &self.files {
            for part in [path.as_bytes(), content.as_slice()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        base16ct::lower::encode_string(&hash.finalize())
    }
}

/// Checks a path of a bundle, file or folder.
pub(crate) fn check_path(path: &str) -> Result<(), Finding> {
    let refuse = |problem| Err(Finding::of_file(&path.escape_debug().to_string(), problem));
    if path.len() > PATH_BYTES_MAX || path.chars().any(is_unprintable) {
        return refuse(Problem::PathInvalid {
            bytes_max: PATH_BYTES_MAX,
        });
    }
    if path.split('/').any(|name| name.starts_with('.')) {
        return refuse(Problem::HiddenFile);
    }
    if path
        .split('/')
        .any(|name| name.is_empty() || name.contains('\\'))
    {
        return refuse(Problem::PathInvalid {
            bytes_max: PATH_BYTES_MAX,
        });
    }
    Ok(())
}

/// Whether `name` is 1 to 128 characters of `a-z`, `0-9` and `-`.
pub(crate) fn is_plain_name(name: &str) -> bool {
    (1..=crate::limits::NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}
