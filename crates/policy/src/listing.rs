//! Which files a bundle has, and what they must not say together.

use crate::error::{Finding, Problem};
use crate::files::{BundleFiles, is_plain_name};
use crate::head;
use crate::keys;
use crate::limits::{AUDIENCES_MAX, GROUPS_MAX, ISSUERS_MAX};
use crate::nearest::nearest;
use crate::records::{Audience, Issuer};
use crate::schema::{self, Attributes};
use crate::toml_places;
use std::collections::{BTreeMap, BTreeSet};

/// The bundle's files by what they are.
#[derive(Default)]
pub(crate) struct Listing<'a> {
    pub issuers: Vec<(&'a str, &'a str)>,
    pub audiences: Vec<&'a str>,
    /// Group files with their names.
    pub entities: Vec<(&'a str, &'a str)>,
    pub rules: Vec<&'a str>,
    /// Files that fill templates.
    pub links: Vec<&'a str>,
}

/// Sorts the files by what they are; whatever a bundle does not have is a finding.
pub(crate) fn list<'a>(files: &'a BundleFiles, findings: &mut Vec<Finding>) -> Listing<'a> {
    let mut listing = Listing::default();
    let pinned: BTreeSet<String> = files
        .iter()
        .filter(|(path, _)| path.starts_with("issuers/") && path.ends_with(".toml"))
        .filter_map(|(_, content)| keys::pinned_path_in(content))
        .collect();
    for (path, _) in files.iter() {
        match path.split_once('/') {
            None if matches!(path, head::FILE | schema::FILE) => {}
            Some(("issuers", file)) if !pinned.contains(path) => {
                let name = plain_stem(path, file, ".toml", findings);
                listing.issuers.extend(name.map(|name| (path, name)));
            }
            Some(("issuers", _)) => {}
            Some(("audiences", file)) => {
                listing
                    .audiences
                    .extend(plain_stem(path, file, ".toml", findings).map(|_| path));
            }
            Some(("entities", file)) => {
                let name = plain_stem(path, file, ".toml", findings);
                listing.entities.extend(name.map(|name| (path, name)));
            }
            Some(("rules", file)) if file.ends_with(".toml") => {
                let name = plain_stem(path, file, ".toml", findings);
                listing.links.extend(name.map(|_| path));
            }
            Some(("rules", file)) => {
                listing
                    .rules
                    .extend(plain_stem(path, file, ".cedar", findings).map(|_| path));
            }
            Some(("tests", file)) if crate::cases::is_case_path(file) => {}
            _ => findings.push(Finding::of_file(path, Problem::UnknownFile)),
        }
    }
    for (folder, count, max) in [
        ("issuers", listing.issuers.len(), ISSUERS_MAX),
        ("audiences", listing.audiences.len(), AUDIENCES_MAX),
        ("entities", listing.entities.len(), GROUPS_MAX),
    ] {
        if count > max {
            findings.push(Finding::of_file(
                folder,
                Problem::TooMany { key: folder, max },
            ));
        }
    }
    listing
}

/// The name of a file without its extension, if it is one that a bundle may have.
fn plain_stem<'a>(
    path: &str,
    file: &'a str,
    extension: &str,
    findings: &mut Vec<Finding>,
) -> Option<&'a str> {
    let problem = match file.strip_suffix(extension) {
        Some(name) if is_plain_name(name) => return Some(name),
        Some(name) if !name.contains('/') => Problem::NameInvalid,
        _ => Problem::UnknownFile,
    };
    findings.push(Finding::of_file(path, problem));
    None
}

/// The content of a file as text; nothing, where it is none.
pub(crate) fn text_of<'f>(files: &'f BundleFiles, path: &str) -> &'f str {
    std::str::from_utf8(files.content(path).unwrap_or_default()).unwrap_or_default()
}

/// Checks that no two files are of one issuer or one audience.
pub(crate) fn check_unique(
    files: &BundleFiles,
    listing: &Listing<'_>,
    issuers: &[Issuer],
    audiences: &[Audience],
    findings: &mut Vec<Finding>,
) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for ((path, _), issuer) in listing.issuers.iter().zip(issuers) {
        if let Some(other) = seen.insert(&issuer.issuer, path) {
            let (issuer, other) = (issuer.issuer.clone(), other.to_owned());
            let (text, problem) = (
                text_of(files, path),
                Problem::DuplicateIssuer { issuer, other },
            );
            let place = toml_places::value(text, &["issuer"]);
            findings.push(Finding::found(path, text, place, problem));
        }
    }
    seen.clear();
    for (path, audience) in listing.audiences.iter().zip(audiences) {
        if let Some(other) = seen.insert(&audience.id, path) {
            let (id, other) = (audience.id.clone(), other.to_owned());
            let (text, problem) = (
                text_of(files, path),
                Problem::DuplicateAudience { id, other },
            );
            let place = toml_places::value(text, &["id"]);
            findings.push(Finding::found(path, text, place, problem));
        }
    }
}

/// A claim that an audience copies must be an attribute of some trusted issuer's principals, else
/// it is misspelt.
pub(crate) fn check_copied_claims(
    files: &BundleFiles,
    listing: &Listing<'_>,
    audiences: &[Audience],
    attributes: &Attributes,
    issuers: &[Issuer],
) -> Result<(), Vec<Finding>> {
    let types: BTreeSet<String> = issuers.iter().map(Issuer::entity_type).collect();
    let known: BTreeSet<&str> = types
        .iter()
        .filter_map(|type_name| attributes.get(type_name))
        .flat_map(|names| names.keys().map(String::as_str))
        .collect();
    let mut findings = Vec::new();
    for (path, audience) in listing.audiences.iter().zip(audiences) {
        for claim in audience
            .claims
            .iter()
            .filter(|claim| !known.contains(claim.as_str()))
        {
            let problem = Problem::ClaimUndeclared {
                name: claim.clone(),
                nearest: nearest(claim, known.iter().copied()),
            };
            let text = text_of(files, path);
            let place = toml_places::key_of(text, "claims", claim);
            findings.push(Finding::found(path, text, place, problem));
        }
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(findings)
    }
}
