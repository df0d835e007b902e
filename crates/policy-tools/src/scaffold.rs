//! Creates issuers, audiences and policies with everything that they need: a policy comes with its cases.
//!
//! Everything is loaded and run before it is returned, so [`policy`] never returns one that fails its own cases.

mod limits;
mod policy;
mod samples;

use crate::error::SuiteError;
pub use limits::{Hours, Network};
pub use policy::{MadePolicy, NewPolicy, policy};
use samples::{base_file, toml_text};
use std::collections::BTreeMap;
use vouchsafe_policy::{Audience, Bundle, BundleFiles, Claim, ClaimType, Environment, Issuer, LoadError, Provider};

/// Files to add to a bundle, by path.
pub type NewFiles = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScaffoldError {
    #[error("`{0}` already exists")]
    AlreadyExists(String),
    #[error("the bundle has no audience `{audience}`; it has {known}")]
    AudienceUnknown { audience: String, known: String },
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

/// The content of a new issuer file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewIssuer {
    pub name: String,
    pub url: String,
    pub provider: String,
    /// Names and values for `require`.
    pub require: Vec<(String, String)>,
    /// Text claims of an `oidc` issuer's tokens.
    pub claims: Vec<String>,
    pub keys: NewKeys,
}

/// The key source of a new issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NewKeys {
    #[default]
    Discovery,
    /// For SPIFFE and other issuers without discovery.
    JwksUri(String),
    /// A JWK Set, which is copied next to the issuer file, and its expiry date.
    Pinned { document: String, expires: String },
}

/// Creates an issuer file and a file with default claims for its cases.
///
/// # Errors
/// The file exists or would not load.
pub fn issuer(files: &BundleFiles, environment: &Environment, new: &NewIssuer) -> Result<NewFiles, ScaffoldError> {
    let Some(provider) = Provider::named(&new.provider) else {
        let known: Vec<&str> = vouchsafe_policy::providers().map(|one| one.name).collect();
        return Err(ScaffoldError::ProviderUnknown { name: new.provider.clone(), known: known.join("`, `") });
    };
    let mut text = format!("issuer = {}\n", toml_text(&new.url));
    text.push_str(&format!("provider = {}\n", toml_text(provider.name)));
    let mut made = NewFiles::new();
    match &new.keys {
        NewKeys::Discovery => {}
        NewKeys::JwksUri(uri) => {
            text.push_str(&format!("keys = {{ jwks_uri = {} }}\n", toml_text(uri)));
        }
        NewKeys::Pinned { document, expires } => {
            let file = format!("{}.json", new.name);
            let (name, expires) = (toml_text(&file), toml_text(expires));
            text.push_str(&format!("keys = {{ pinned = {name}, expires = {expires} }}\n"));
            made.insert(format!("issuers/{file}"), document.clone());
        }
    }
    if !new.require.is_empty() {
        let pairs = new.require.iter();
        let pairs: Vec<String> =
            pairs.map(|(name, value)| format!("{} = {}", toml_text(name), toml_text(value))).collect();
        text.push_str(&format!("require = {{ {} }}\n", pairs.join(", ")));
    }
    if !new.claims.is_empty() {
        text.push_str("\n[claims]\n");
    }
    for claim in &new.claims {
        text.push_str(&format!("{} = {{ type = \"text\" }}\n", toml_text(claim)));
    }
    made.insert(format!("issuers/{}.toml", new.name), text);
    let bundle = load_with(files, environment, &made)?;
    if let Some(issuer) = named(&bundle, &new.name) {
        let path = format!("tests/{}.toml", new.name);
        if files.content(&path).is_none() {
            made.insert(path, base_file(issuer));
        }
    }
    Ok(made)
}

/// The content of a new audience file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAudience {
    pub name: String,
    pub id: String,
    pub scopes: Vec<String>,
    pub scopes_required: bool,
    pub max_lifetime: Option<String>,
    pub single_use: bool,
}

/// Creates an audience file.
///
/// # Errors
/// The file exists or would not load.
pub fn audience(files: &BundleFiles, environment: &Environment, new: &NewAudience) -> Result<NewFiles, ScaffoldError> {
    let mut text = format!("id = {}\n", toml_text(&new.id));
    if let Some(lifetime) = &new.max_lifetime {
        text.push_str(&format!("max_lifetime = {}\n", toml_text(lifetime)));
    }
    let scopes: Vec<String> = new.scopes.iter().map(|scope| toml_text(scope)).collect();
    text.push_str(&format!("scopes = [{}]\n", scopes.join(", ")));
    if new.scopes_required {
        text.push_str("scopes_required = true\n");
    }
    if new.single_use {
        text.push_str("replay = \"single-use\"\n");
    }
    let made = NewFiles::from([(format!("audiences/{}.toml", new.name), text)]);
    load_with(files, environment, &made)?;
    Ok(made)
}

fn named<'b>(bundle: &'b Bundle, name: &str) -> Option<&'b Issuer> {
    let mut issuers = bundle.issuers_of_all_environments();
    issuers.find(|issuer| issuer.name == name)
}

/// The names of a bundle's things, for a message.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
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
        _ => return Ok(claim),
    };
    Err(ScaffoldError::ClaimValue { claim: name.to_owned(), wanted, value: value.to_owned() })
}

/// The bundle's files with new ones, which must not exist yet.
fn with(files: &BundleFiles, made: &NewFiles) -> Result<BundleFiles, ScaffoldError> {
    match made.keys().find(|path| files.content(path).is_some()) {
        Some(path) => Err(ScaffoldError::AlreadyExists(path.clone())),
        None => replaced(files, made),
    }
}

/// The bundle's files with new ones instead of those at the same paths.
fn replaced(files: &BundleFiles, made: &NewFiles) -> Result<BundleFiles, ScaffoldError> {
    let mut all = files.clone();
    for (path, content) in made {
        all.add(path, content.clone().into_bytes()).map_err(|diagnostic| invalid(diagnostic.into()))?;
    }
    Ok(all)
}

fn load_with(files: &BundleFiles, environment: &Environment, made: &NewFiles) -> Result<Bundle, ScaffoldError> {
    Bundle::load(&with(files, made)?, environment).map_err(invalid)
}

fn invalid(error: LoadError) -> ScaffoldError {
    ScaffoldError::Invalid(error.into())
}
