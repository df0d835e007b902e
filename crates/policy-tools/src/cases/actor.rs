//! The actor of a case.

use super::described::{Described, base, issuer_named};
use crate::error::CheckError;
use std::collections::BTreeMap;
use toml::Value;
use vouchsafe_policy::authoring::{Spanned, TomlFile};
use vouchsafe_policy::{Bundle, BundleFiles, Diagnostic, Principal};

/// `[actor]`: like the principal of the case, with default claims of its own issuer.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ActorEntry {
    issuer: Spanned<String>,
    id: Option<String>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    claims: BTreeMap<String, Value>,
    /// Default claims that the actor's token does not have.
    #[serde(default)]
    absent: Vec<String>,
}

/// The actor; none if the file's diagnostics say why.
pub(super) fn read(
    file: &mut TomlFile<'_, CheckError>,
    entry: &ActorEntry,
    files: &BundleFiles,
    bundle: &Bundle,
) -> Result<Option<Principal>, Vec<Diagnostic<CheckError>>> {
    let Some(issuer) = issuer_named(file, &entry.issuer, bundle) else {
        return Ok(None);
    };
    let base = base(&issuer.name, files).map_err(|diagnostic| vec![diagnostic.map(CheckError::from)])?;
    let described = Described { id: &entry.id, claims: &entry.claims, absent: &entry.absent };
    Ok(Some(described.principal(file, &["actor"], base, issuer)))
}
