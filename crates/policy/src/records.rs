//! Issuers and audiences as they are used: every default filled in, every value checked.

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

/// How an issuer's tokens are shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    Github,
    Gitlab,
    Kubernetes,
    Oidc,
}

impl Provider {
    /// All names, for messages.
    pub const NAMES: &str = "`github`, `gitlab`, `kubernetes` and `oidc`";

    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "github" => Some(Self::Github),
            "gitlab" => Some(Self::Gitlab),
            "kubernetes" => Some(Self::Kubernetes),
            "oidc" => Some(Self::Oidc),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Kubernetes => "kubernetes",
            Self::Oidc => "oidc",
        }
    }

    /// GitHub's jobs ask within minutes; other issuers' tokens commonly live an hour.
    pub(crate) fn max_token_age_seconds(self) -> u64 {
        match self {
            Self::Github => 600,
            Self::Gitlab | Self::Kubernetes | Self::Oidc => 3600,
        }
    }

    /// A GitHub job can fetch a new identity token at any time, so single use costs it nothing.
    /// Elsewhere one token often serves many exchanges: a GitLab job has each of its tokens from its
    /// start to its end, a pod its mounted token.
    pub(crate) fn replay(self) -> ReplayMode {
        match self {
            Self::Github => ReplayMode::SingleUse,
            Self::Gitlab | Self::Kubernetes | Self::Oidc => ReplayMode::Allow,
        }
    }

    /// Names of members from a token's claims inward to the one that becomes attribute `name`, as
    /// identity has it.
    pub(crate) fn claim_path(self, name: &str) -> Vec<&str> {
        if self != Self::Kubernetes {
            return vec![name];
        }
        let object = ["node", "pod", "secret", "service_account"]
            .into_iter()
            .find_map(|object| Some((object, name.strip_prefix(object)?.strip_prefix('_')?)));
        match object {
            Some(("service_account", member)) => vec!["kubernetes.io", "serviceaccount", member],
            Some((object, member)) => vec!["kubernetes.io", object, member],
            None => vec!["kubernetes.io", name],
        }
    }

    /// Whether `null` as the value of `claim` counts as absent, as identity has it.
    pub(crate) fn null_is_absent(self, claim: &str) -> bool {
        self == Self::Gitlab
            && matches!(
                claim,
                "ci_config_ref_uri" | "ci_config_sha" | "runner_environment" | "runner_id"
            )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayMode {
    Allow,
    SingleUse,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimType {
    Boolean,
    Integer,
    Text,
    TextSet,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredClaim {
    pub name: String,
    pub claim_type: ClaimType,
    pub required: bool,
}

/// An issuer file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The file's name without `.toml`.
    pub name: String,
    /// The exact `iss` value.
    pub issuer: String,
    pub provider: Provider,
    /// Accepted `aud` values; never empty.
    pub audiences: Vec<String>,
    /// Accepted JWS algorithms; never empty.
    pub algorithms: Vec<String>,
    pub keys: KeySource,
    pub keys_max_age_seconds: u64,
    pub max_token_age_seconds: u64,
    pub leeway_seconds: u64,
    pub replay: ReplayMode,
    /// Typed claims of an `oidc` issuer in name order; else empty.
    pub claims: Vec<DeclaredClaim>,
    pub subject_template: Option<String>,
    pub development: bool,
}

impl Issuer {
    /// The Cedar type of this issuer's principals. An `oidc` issuer has a type of its own, named
    /// after its file: `my-idp` is `Oidc::MyIdp`.
    pub fn entity_type(&self) -> String {
        match self.provider {
            Provider::Github => "GitHub::Workflow".to_owned(),
            Provider::Gitlab => "GitLab::Job".to_owned(),
            Provider::Kubernetes => "Kubernetes::ServiceAccount".to_owned(),
            Provider::Oidc => format!("Oidc::{}", pascal_case(&self.name)),
        }
    }
}

/// `my-idp` as `MyIdp`. A name that starts with a digit gets an underscore, since no Cedar
/// identifier starts with one.
pub(crate) fn pascal_case(name: &str) -> String {
    let mut pascal = String::with_capacity(name.len().saturating_add(1));
    if name.starts_with(|first: char| first.is_ascii_digit()) {
        pascal.push('_');
    }
    for part in name.split('-') {
        let mut letters = part.chars();
        pascal.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        pascal.push_str(letters.as_str());
    }
    pascal
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
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
