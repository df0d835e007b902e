//! The claims that the file of an `oidc` issuer declares, and whether its tokens may be delegated.

use crate::error::Problem;
use crate::limits::CLAIMS_MAX;
use crate::spanned::Spanned;
use crate::toml_file::TomlFile;
use std::collections::BTreeMap;
use vouchsafe_claims::ClaimNames;
use vouchsafe_providers::{Claim, ClaimType, Provider, Source, oidc};

pub(crate) type ClaimEntries = Spanned<BTreeMap<String, ClaimEntry>>;

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimEntry {
    #[serde(rename = "type")]
    #[cfg_attr(
        feature = "json-schema",
        schemars(with = "crate::json_schema::ClaimTypeName")
    )]
    claim_type: ClaimType,
    #[serde(default = "yes")]
    required: bool,
}

fn yes() -> bool {
    true
}

/// Whether tokens with `act` or `may_act` are accepted.
pub(crate) fn allow_act(
    file: &mut TomlFile<'_>,
    entry: Option<&Spanned<bool>>,
    provider: &Provider,
) -> bool {
    let allowed = entry.filter(|entry| *entry.get_ref());
    if let Some(entry) = allowed
        && !provider.declares_claims()
    {
        let problem = Problem::ActNotAllowed(provider.name.to_owned());
        file.refuse(entry.span(), problem);
    }
    allowed.is_some()
}

/// The declared claims, and the actor where tokens may have one.
pub(crate) fn claims(
    file: &mut TomlFile<'_>,
    entry: Option<&ClaimEntries>,
    provider: &Provider,
    allow_act: bool,
) -> Vec<Claim> {
    let mut claims = declared_claims(file, entry, provider);
    if allow_act {
        let taken = claims
            .iter()
            .find(|claim| claim.name.eq_ignore_ascii_case(&oidc::ACT_SUB.name));
        if let (Some(claim), Some(entry)) = (taken, entry) {
            let problem = Problem::ClaimReserved(claim.name.to_string());
            file.refuse_within(entry.span(), &claim.name, problem);
        }
        claims.push(oidc::ACT_SUB);
        claims.sort_by(|one, other| one.name.cmp(&other.name));
    }
    claims
}

fn declared_claims(
    file: &mut TomlFile<'_>,
    entry: Option<&ClaimEntries>,
    provider: &Provider,
) -> Vec<Claim> {
    let Some(entry) = entry else {
        return Vec::new();
    };
    if !provider.declares_claims() {
        file.refuse(
            entry.span(),
            Problem::ClaimsNotAllowed(provider.name.to_owned()),
        );
    }
    if entry.get_ref().len() > CLAIMS_MAX {
        file.refuse(
            entry.span(),
            Problem::TooMany {
                key: "claims",
                max: CLAIMS_MAX,
            },
        );
    }
    let mut names = ClaimNames::of_subject_token();
    for name in entry.get_ref().keys() {
        file.check_claim_name(&mut names, name, entry.span());
        if is_cedar_name(name) {
            file.refuse_within(entry.span(), name, Problem::ClaimReserved(name.clone()));
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

/// Whether Cedar's JSON formats give the name a meaning, as they do to `__entity`.
fn is_cedar_name(name: &str) -> bool {
    name.starts_with("__")
}
