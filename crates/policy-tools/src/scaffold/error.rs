//! Why nothing is created.

use crate::error::SuiteError;
use vouchsafe_policy::LoadError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaffoldError {
    #[error("`{0}` already exists")]
    AlreadyExists(String),
    #[error("the bundle has no audience `{audience}`; it has {known}")]
    AudienceUnknown { audience: String, known: String },
    #[error("claim `{0}` has no value")]
    ClaimEmpty(String),
    #[error(
        "claim `{claim}` would have to be `{value}` literally: name one value, and edit the policy to compare with `like`"
    )]
    ClaimPattern { claim: String, value: String },
    #[error("{entity_type} has no claim `{claim}`; it has {known}")]
    ClaimUnknown { claim: String, entity_type: String, known: String },
    #[error("claim `{claim}` is {wanted}, not `{value}`")]
    ClaimValue { claim: String, wanted: &'static str, value: String },
    #[error("the result would not load\n{0}")]
    Invalid(SuiteError),
    #[error("`{0}` is not working hours such as `berlin` or `berlin:9-17`")]
    HoursInvalid(String),
    #[error("the bundle has no issuer `{issuer}`; it has {known}")]
    IssuerUnknown { issuer: String, known: String },
    #[error("`{0}` is not a network such as `192.0.2.0/24`, or contains every address")]
    NetworkInvalid(String),
    #[error("the policy would not permit its own case: {0}")]
    NeverPermits(String),
    #[error("`{0}` has other policies too")]
    OthersInFile(String),
    #[error("audience `{audience}` does not offer scope `{scope}`; it offers {offered}")]
    ScopeNotOffered { scope: String, audience: String, offered: String },
    #[error("audience `{audience}` requires a scope; it offers {offered}")]
    ScopeRequired { audience: String, offered: String },
    #[error("unknown provider `{name}`; known providers: `{known}`")]
    ProviderUnknown { name: String, known: String },
    #[error("`bundle.toml` names no time zone `{zone}`; it names {known}")]
    ZoneUnknown { zone: String, known: String },
}

/// The names of a bundle's things, for a message.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

pub(super) fn invalid(error: LoadError) -> ScaffoldError {
    ScaffoldError::Invalid(error.into())
}
