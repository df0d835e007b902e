//! `bundle.toml`: name, version, time zones, and the brokers that the bundle is for.

use crate::error::{Finding, Problem};
use crate::files::BundleFiles;
use crate::limits::ID_BYTES_MAX;
use crate::nearest::nearest;
use crate::places;
use crate::rules::{self, Rule};
use crate::spanned::Spanned;
use crate::toml_file::TomlFile;
use crate::zones::Zones;
use std::collections::BTreeMap;
use vouchsafe_providers::is_unprintable;

pub(crate) const FILE: &str = "bundle.toml";

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleFile {
    name: String,
    version: String,
    /// Time zones by the name that rules give them.
    #[serde(default)]
    zones: BTreeMap<String, Spanned<String>>,
    /// Profiles by name, each with the issuer URL of the broker that it is for.
    #[serde(default)]
    profiles: BTreeMap<String, Spanned<String>>,
}

/// What `bundle.toml` says.
pub(crate) struct Head {
    pub name: String,
    pub version: String,
    pub zones: Zones,
    pub profiles: BTreeMap<String, String>,
}

/// Reads and checks the file.
pub(crate) fn read(files: &BundleFiles) -> Result<Head, Vec<Finding>> {
    let missing = || vec![Finding::of_file(FILE, Problem::FileMissing)];
    let content = files.content(FILE).ok_or_else(missing)?;
    let (mut file, head): (_, BundleFile) =
        TomlFile::parse(FILE, content).map_err(|finding| vec![finding])?;
    for (key, value) in [("name", &head.name), ("version", &head.version)] {
        if value.is_empty() {
            file.refuse(file.place(&[key]), Problem::Empty(key));
        }
        if value.len() > crate::limits::NAME_BYTES_MAX || value.chars().any(is_unprintable) {
            let bytes_max = crate::limits::NAME_BYTES_MAX;
            file.refuse(file.place(&[key]), Problem::ValueInvalid { key, bytes_max });
        }
    }
    let zones = Zones::read(&mut file, &head.zones);
    for url in head.profiles.values() {
        file.check_value("profiles", url.get_ref(), url.span(), ID_BYTES_MAX);
    }
    let profiles = head.profiles.into_iter();
    let profiles = profiles
        .map(|(name, url)| (name, url.into_inner()))
        .collect();
    file.finish(Head {
        profiles,
        name: head.name,
        version: head.version,
        zones,
    })
}

/// The profile of the broker whose issuer URL is `issuer`.
pub(crate) fn profile_of<'a>(
    profiles: &'a BTreeMap<String, String>,
    issuer: &str,
) -> Option<&'a str> {
    let is_it = |url: &str| url.trim_end_matches('/') == issuer.trim_end_matches('/');
    let mut profiles = profiles.iter();
    profiles
        .find(|(_, url)| is_it(url))
        .map(|(name, _)| name.as_str())
}

/// Checks that every profile that a rule names is there.
pub(crate) fn check_profiles(
    files: &BundleFiles,
    rules: &[Rule],
    profiles: &BTreeMap<String, String>,
) -> Result<(), Vec<Finding>> {
    let unknown = |rule: &Rule| {
        let names = rule.profiles.iter();
        let unknown = names.filter(|name| !profiles.contains_key(*name));
        let problem = |profile: &String| Problem::RuleProfileUnknown {
            rule: rule.id.clone(),
            profile: profile.clone(),
            nearest: nearest(profile, profiles.keys().map(String::as_str)),
        };
        let place = || match &rule.link {
            // The place of a link's profile is not kept.
            Some(_) => None,
            None => places::annotation(&rule.policy, "profile"),
        };
        unknown
            .map(problem)
            .map(|problem| rules::found_in(files, rule, place(), problem))
            .collect::<Vec<_>>()
    };
    let findings: Vec<Finding> = rules.iter().flat_map(unknown).collect();
    match findings.is_empty() {
        true => Ok(()),
        false => Err(findings),
    }
}
