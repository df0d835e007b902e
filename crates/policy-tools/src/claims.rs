//! The principal that a token's claims describe.

use vouchsafe_json::{Json, JsonObject};
use vouchsafe_policy::{Issuer, Principal, RequiredClaim};
use vouchsafe_providers::{AttributeValue, ClaimError};

/// Why claims do not make a principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("claim `{0}` does not have a value that the issuer file requires")]
    NotRequired(String),
    #[error("claim `sub` is missing or not a string")]
    Sub,
}

/// The principal that a token of `issuer` with these `claims` would have. Verifies nothing: that is the identity
/// component's job.
///
/// # Errors
/// The claims do not fit the issuer.
pub fn principal_of_claims(issuer: &Issuer, claims: &JsonObject) -> Result<Principal, ClaimsError> {
    let id = claims.get("sub").and_then(Json::as_text);
    let id = id.ok_or(ClaimsError::Sub)?;
    let table = match issuer.provider.declares_claims() {
        true => &issuer.claims,
        false => issuer.provider.claims,
    };
    let attributes = vouchsafe_providers::attributes(table, claims)?;
    let value_of = |name: &str| match name {
        "sub" => Some(id),
        _ => attributes.iter().find_map(|one| match &one.value {
            AttributeValue::Text(text) if one.name == name => Some(text.as_str()),
            _ => None,
        }),
    };
    for RequiredClaim { name, values } in &issuer.require {
        if !value_of(name).is_some_and(|value| values.iter().any(|wanted| wanted == value)) {
            return Err(ClaimsError::NotRequired(name.clone()));
        }
    }
    Ok(Principal { entity_type: issuer.entity_type(), id: id.to_owned(), issuer_name: issuer.name.clone(), attributes })
}
