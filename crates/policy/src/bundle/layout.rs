//! The files of a bundle, sorted by kind.

use crate::bundle::files::{BundleFiles, MANIFEST_FILE, PROOF_FILE, SCHEMA_FILE, is_plain_name};
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::{AUDIENCES_MAX, CLIENTS_MAX, GROUPS_MAX, ISSUERS_MAX};
use crate::settings::key_source;
use std::collections::BTreeSet;

/// Files for people, next to `bundle.toml`. They are part of the digest like all others, but nothing reads them.
const FOR_PEOPLE: [&str; 2] = ["CODEOWNERS", "README.md"];

/// The paths of a bundle's files by kind, each kind in path order.
#[derive(Default)]
pub(crate) struct Layout<'a> {
    /// Issuer files with the names of their issuers.
    pub issuers: Vec<(&'a str, &'a str)>,
    pub audiences: Vec<&'a str>,
    /// Client files with the ids of their clients.
    pub clients: Vec<(&'a str, &'a str)>,
    /// Group files with the names of their groups.
    pub groups: Vec<(&'a str, &'a str)>,
    pub policies: Vec<&'a str>,
    pub guardrails: Vec<&'a str>,
    /// Files that link templates.
    pub links: Vec<&'a str>,
}

impl<'a> Layout<'a> {
    /// Sorts the files by kind, and reports every file that does not belong in a bundle.
    pub fn of(files: &'a BundleFiles, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut layout = Self::default();
        let pinned: BTreeSet<String> = files
            .iter()
            .filter(|(path, _)| path.starts_with("issuers/") && path.ends_with(".toml"))
            .filter_map(|(_, content)| key_source::pinned_path_in(content))
            .collect();
        for (path, _) in files.iter() {
            match path.split_once('/') {
                None if matches!(path, MANIFEST_FILE | SCHEMA_FILE) || FOR_PEOPLE.contains(&path) => {}
                Some(("issuers", _)) if pinned.contains(path) => {}
                Some(("issuers", file)) => {
                    let name = plain_stem(path, file, ".toml", diagnostics);
                    layout.issuers.extend(name.map(|name| (path, name)));
                }
                Some(("audiences", file)) => {
                    let name = plain_stem(path, file, ".toml", diagnostics);
                    layout.audiences.extend(name.map(|_| path));
                }
                Some(("clients", file)) => {
                    let name = plain_stem(path, file, ".toml", diagnostics);
                    layout.clients.extend(name.map(|name| (path, name)));
                }
                Some(("entities", file)) => {
                    let name = plain_stem(path, file, ".toml", diagnostics);
                    layout.groups.extend(name.map(|name| (path, name)));
                }
                Some(("guardrails", _)) if path == PROOF_FILE => {}
                Some(("guardrails", file)) => {
                    let name = plain_stem(path, file, ".cedar", diagnostics);
                    layout.guardrails.extend(name.map(|_| path));
                }
                Some(("rules", file)) if file.ends_with(".toml") => {
                    let name = plain_stem(path, file, ".toml", diagnostics);
                    layout.links.extend(name.map(|_| path));
                }
                Some(("rules", file)) => {
                    let name = plain_stem(path, file, ".cedar", diagnostics);
                    layout.policies.extend(name.map(|_| path));
                }
                Some(("tests", file)) if is_case_path(file) => {}
                _ => diagnostics.push(Diagnostic::of_file(path, BundleError::UnknownFile)),
            }
        }
        for (folder, count, max) in [
            ("issuers", layout.issuers.len(), ISSUERS_MAX),
            ("audiences", layout.audiences.len(), AUDIENCES_MAX),
            ("clients", layout.clients.len(), CLIENTS_MAX),
            ("entities", layout.groups.len(), GROUPS_MAX),
        ] {
            if count > max {
                let error = BundleError::TooMany { key: folder, max };
                diagnostics.push(Diagnostic::of_file(folder, error));
            }
        }
        layout
    }
}

/// Whether `path`, relative to `tests/`, is that of a case or of an issuer's base file.
fn is_case_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    path.ends_with(".toml") && matches!(parts.as_slice(), [_] | [_, "allow" | "deny", _])
}

/// The name of a file without its extension, if a bundle can have such a file.
fn plain_stem<'a>(path: &str, file: &'a str, extension: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a str> {
    let error = match file.strip_suffix(extension) {
        Some(name) if is_plain_name(name) => return Some(name),
        Some(name) if !name.contains('/') => BundleError::NameInvalid,
        _ => BundleError::UnknownFile,
    };
    diagnostics.push(Diagnostic::of_file(path, error));
    None
}
