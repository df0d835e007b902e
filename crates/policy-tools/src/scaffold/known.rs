//! What a bundle has, and its files with new ones.

use super::error::{ScaffoldError, invalid, listed};
use std::collections::BTreeMap;
use vouchsafe_policy::{Audience, Bundle, BundleFiles, Claim, ClaimType, Environment, Issuer};

/// Files to add to a bundle, by path.
pub type NewFiles = BTreeMap<String, String>;

pub(super) fn named<'b>(bundle: &'b Bundle, name: &str) -> Option<&'b Issuer> {
    let mut issuers = bundle.issuers_of_all_environments();
    issuers.find(|issuer| issuer.name == name)
}

/// The issuer with this name.
///
/// # Errors
/// There is none.
pub fn known_issuer<'b>(bundle: &'b Bundle, name: &str) -> Result<&'b Issuer, ScaffoldError> {
    let known = || listed(bundle.issuers_of_all_environments().map(|issuer| issuer.name.as_str()));
    named(bundle, name).ok_or_else(|| ScaffoldError::IssuerUnknown { issuer: name.to_owned(), known: known() })
}

/// The audience with this id.
///
/// # Errors
/// There is none.
pub fn known_audience<'b>(bundle: &'b Bundle, id: &str) -> Result<&'b Audience, ScaffoldError> {
    let known = || listed(bundle.audiences().map(|audience| audience.id.as_str()));
    bundle.audience(id).ok_or_else(|| ScaffoldError::AudienceUnknown { audience: id.to_owned(), known: known() })
}

/// Checks that the audience offers a scope.
///
/// # Errors
/// It does not.
pub fn check_scope(audience: &Audience, scope: &str) -> Result<(), ScaffoldError> {
    match audience.scopes.iter().any(|offered| offered == scope) {
        true => Ok(()),
        false => Err(ScaffoldError::ScopeNotOffered {
            scope: scope.to_owned(),
            audience: audience.id.clone(),
            offered: listed(audience.scopes.iter().map(String::as_str)),
        }),
    }
}

/// The claims that tokens of an issuer can have.
pub fn claims_of(issuer: &Issuer) -> &[Claim] {
    match issuer.provider.declares_claims() {
        true => &issuer.claims,
        false => issuer.provider.claims,
    }
}

/// The claim with this name, which can have this value.
///
/// # Errors
/// Tokens of the issuer have no such claim, or another type of value in it.
pub fn known_claim<'i>(issuer: &'i Issuer, name: &str, value: &str) -> Result<&'i Claim, ScaffoldError> {
    let claims = claims_of(issuer);
    let claim = claims.iter().find(|claim| claim.name == name).ok_or_else(|| ScaffoldError::ClaimUnknown {
        claim: name.to_owned(),
        entity_type: issuer.entity_type(),
        known: listed(claims.iter().map(|claim| claim.name.as_ref())),
    })?;
    let wanted = match claim.claim_type {
        ClaimType::Boolean if !matches!(value, "true" | "false") => "true or false",
        ClaimType::Integer if value.parse::<i64>().is_err() => "an integer",
        _ if value.is_empty() => return Err(ScaffoldError::ClaimEmpty(name.to_owned())),
        _ if value.contains('*') => {
            return Err(ScaffoldError::ClaimPattern { claim: name.to_owned(), value: value.to_owned() });
        }
        _ => return Ok(claim),
    };
    Err(ScaffoldError::ClaimValue { claim: name.to_owned(), wanted, value: value.to_owned() })
}

/// The bundle's files with new ones, which must not exist yet.
pub(super) fn with(files: &BundleFiles, made: &NewFiles) -> Result<BundleFiles, ScaffoldError> {
    match made.keys().find(|path| files.content(path).is_some()) {
        Some(path) => Err(ScaffoldError::AlreadyExists(path.clone())),
        None => replaced(files, made),
    }
}

/// The bundle's files with new ones instead of those at the same paths.
pub(super) fn replaced(files: &BundleFiles, made: &NewFiles) -> Result<BundleFiles, ScaffoldError> {
    let mut all = files.clone();
    for (path, content) in made {
        all.add(path, content.clone().into_bytes()).map_err(|diagnostic| invalid(diagnostic.into()))?;
    }
    Ok(all)
}

pub(super) fn load_with(
    files: &BundleFiles,
    environment: &Environment,
    made: &NewFiles,
) -> Result<Bundle, ScaffoldError> {
    Bundle::load(&with(files, made)?, environment).map_err(invalid)
}
