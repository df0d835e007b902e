//! Creates issuers, audiences and policies with everything that they need: a policy comes with its cases.
//!
//! Everything is loaded and run before it is returned, so [`policy`] never returns one that fails its own cases.

mod error;
mod known;
mod limits;
mod policy;
mod samples;

pub use error::ScaffoldError;
pub use known::{NewFiles, check_scope, claims_of, known_audience, known_claim, known_issuer};
use known::{load_with, named};
pub use limits::{Hours, Network};
pub use policy::{MadePolicy, NewPolicy, policy};
use samples::{base_file, toml_text};
use vouchsafe_policy::{BundleFiles, Environment, Provider};

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
