//! The claims that the file of an `oidc` issuer declares, and whether its tokens can name actors.

use crate::diagnostics::BundleError;
use crate::diagnostics::spanned::Spanned;
use crate::limits::CLAIMS_MAX;
use crate::settings::toml_file::TomlFile;
use std::collections::BTreeMap;
use vouchsafe_claims::ClaimNames;
use vouchsafe_providers::{Claim, ClaimType, Provider, Source};

pub(crate) type ClaimEntries = Spanned<BTreeMap<String, ClaimEntry>>;

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimEntry {
    #[serde(rename = "type")]
    #[cfg_attr(feature = "json-schema", schemars(with = "ClaimTypeName"))]
    claim_type: ClaimType,
    #[serde(default = "yes")]
    required: bool,
}

fn yes() -> bool {
    true
}

/// Whether tokens with `act` or `may_act` are accepted.
pub(crate) fn allow_act(file: &mut TomlFile<'_>, entry: Option<&Spanned<bool>>, provider: &Provider) -> bool {
    let allowed = entry.filter(|entry| *entry.get_ref());
    if let Some(entry) = allowed
        && !provider.declares_claims()
    {
        let error = BundleError::ActNotAllowed(provider.name.to_owned());
        file.refuse(entry.span(), error);
    }
    allowed.is_some()
}

/// The declared claims.
pub(crate) fn claims(file: &mut TomlFile<'_>, entry: Option<&ClaimEntries>, provider: &Provider) -> Vec<Claim> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    if !provider.declares_claims() {
        file.refuse(entry.span(), BundleError::ClaimsNotAllowed(provider.name.to_owned()));
    }
    if entry.get_ref().len() > CLAIMS_MAX {
        file.refuse(entry.span(), BundleError::TooMany { key: "claims", max: CLAIMS_MAX });
    }
    let mut names = ClaimNames::of_subject_token();
    for name in entry.get_ref().keys() {
        file.check_claim_name(&mut names, name, entry.span());
        if is_cedar_name(name) {
            file.refuse_within(entry.span(), name, BundleError::ClaimReserved(name.clone()));
        }
    }
    let declared = |(name, claim): (&String, &ClaimEntry)| Claim {
        name: name.clone().into(),
        source: Source::Claim,
        claim_type: claim.claim_type,
        required: claim.required,
        nullable: false,
    };
    entry.get_ref().iter().map(declared).collect()
}

/// Whether the name can have a special meaning in Cedar's JSON formats, as `__entity` does.
fn is_cedar_name(name: &str) -> bool {
    name.starts_with("__")
}

/// The type of a claim.
#[cfg(feature = "json-schema")]
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
enum ClaimTypeName {
    Boolean,
    Integer,
    Text,
    TextMap,
    TextOrSet,
    TextSet,
}
