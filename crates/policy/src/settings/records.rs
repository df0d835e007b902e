//! Issuers and audiences as they are used: every default filled in, every value checked.

use vouchsafe_providers::{Claim, Provider, Replay, oidc};

/// What a bundle is checked against; none of it is in the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The broker's own issuer URL: the default inbound audience, and never a trusted issuer.
    pub issuer: String,
    /// Whether issuer files marked `development = true` are used.
    pub development: bool,
    /// Length of a signing epoch.
    pub epoch_seconds: u64,
}

/// How often one subject token may be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayMode {
    Allow,
    /// So many times, 2 or more.
    Bounded(u32),
    SingleUse,
}

impl From<Replay> for ReplayMode {
    fn from(replay: Replay) -> Self {
        match replay {
            Replay::Allow => Self::Allow,
            Replay::SingleUse => Self::SingleUse,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    Discovery,
    JwksUri(String),
    Pinned(PinnedKeys),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKeys {
    pub document: String,
    /// First moment at which the keys are no longer trusted, in Unix seconds.
    pub expires: u64,
}

/// A claim that every token of an issuer has with one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredClaim {
    /// `sub`, or the name of a text attribute.
    pub name: String,
    pub values: Vec<String>,
}

/// An issuer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The file's name without `.toml`.
    pub name: String,
    /// The exact `iss` value.
    pub issuer: String,
    pub provider: &'static Provider,
    /// Accepted `aud` values; never empty.
    pub audiences: Vec<String>,
    /// Accepted JWS algorithms; never empty.
    pub algorithms: Vec<String>,
    pub keys: KeySource,
    /// The file in `/credentials` with the bearer token that the keys are fetched with.
    pub credential_file: Option<String>,
    pub keys_max_age_seconds: u64,
    /// How long keys are used past their trust while the issuer cannot be asked; 0 for not at all.
    pub stale_keys_max_seconds: u64,
    pub max_token_age_seconds: u64,
    pub leeway_seconds: u64,
    pub replay: ReplayMode,
    /// Typed claims of an `oidc` issuer in name order, its actor included; else empty.
    pub claims: Vec<Claim>,
    /// What is required of every token, in name order.
    pub require: Vec<RequiredClaim>,
    pub subject_template: Option<String>,
    /// Whether tokens with `act` or `may_act` are accepted; `claims` then has [`oidc::ACT_SUB`].
    pub allow_act: bool,
    pub development: bool,
}

impl Issuer {
    /// The claims that the issuer's file declares.
    pub fn declared_claims(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().filter(|claim| **claim != oidc::ACT_SUB)
    }

    /// The Cedar type of this issuer's principals. An `oidc` issuer has a type of its own, named
    /// after its file: `my-idp` is `Oidc::MyIdp`.
    pub fn entity_type(&self) -> String {
        self.provider.entity_type(&self.name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    Delegated,
    Hsm,
}

/// An audience file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    pub id: String,
    pub tier: Tier,
    pub algorithm: String,
    pub default_lifetime_seconds: u64,
    pub max_lifetime_seconds: u64,
    pub scopes: Vec<String>,
    /// Verified claims that are copied into the token.
    pub claims: Vec<String>,
    pub replay: ReplayMode,
    pub outlive_subject: bool,
}
