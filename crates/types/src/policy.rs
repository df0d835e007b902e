//! The trust bundle and its decisions.

use crate::issuer::{IssuerRecord, ReplayMode};
use crate::view::View;
use crate::wit_enum::wit_enum;
use crate::workload::Principal;

/// What a bundle is validated against; none of it comes from the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The broker's own issuer URL: the default inbound audience, and never a trusted issuer.
    pub issuer: String,
    /// Whether issuer files marked `development = true` are used.
    pub development: bool,
    /// Length of a signing epoch.
    pub epoch_seconds: u64,
}

/// Name and digest of a loaded bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleInfo {
    pub name: String,
    pub version: String,
    /// Lowercase hex SHA-256 over the bundle's length-prefixed paths and contents.
    pub digest: String,
    /// Proof for the next load that this content was checked; absent if nothing changed.
    pub seals: Option<String>,
    /// Whether a proof of possession counts only with a nonce of the broker.
    pub proof_nonce_required: bool,
}

wit_enum! {
    /// Where the signing key must live.
    #[derive(serde::Deserialize)]
    #[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
    #[serde(rename_all = "kebab-case")]
    pub enum Tier {
        Delegated,
        Hsm,
    }
}

/// An audience file, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    pub id: String,
    /// The kind of relying party; without one, tokens have the broker's own `iss`.
    pub view: Option<View>,
    pub tier: Tier,
    /// JWS `alg` of tokens for this audience.
    pub algorithm: String,
    pub default_lifetime_seconds: u64,
    pub max_lifetime_seconds: u64,
    /// Every scope that can be requested.
    pub scopes: Vec<String>,
    /// Whether a request without scopes is refused.
    pub scopes_required: bool,
    /// Names of verified claims that are copied into the token.
    pub claims: Vec<String>,
    pub replay: ReplayMode,
    /// Whether the issued token may outlive the subject token.
    pub outlive_subject: bool,
    /// Whether a request without a proof of possession is refused.
    pub proof_required: bool,
    /// Whether an actor can get a token, if policy permits it.
    pub allow_act: bool,
    /// Whether the audience is another authorization server: tokens for it are short-lived grants.
    pub authorization_server: bool,
    /// Whether each token has an index in a status list.
    pub status_list: bool,
}

/// A client file: software without a token of a platform that asks about tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its `id` is the `client_id`.
    pub principal: Principal,
    pub credential: ClientCredential,
}

/// What a client authenticates with.
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "it crosses components, where a box can't")
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCredential {
    /// `private_key_jwt` (OpenID Connect Core 1.0 §9): how its assertions are verified.
    Key(IssuerRecord),
    /// `client_secret_basic` (RFC 6749 §2.3.1): the lowercase hex SHA-256 of each secret.
    Secret(Vec<String>),
}

/// What a principal asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub audience: String,
    pub scopes: Vec<String>,
    pub requested_lifetime_seconds: u64,
    /// Only from a configured trusted proxy.
    pub client_ip: Option<String>,
    pub proof_of_possession: bool,
}

wit_enum! {
    pub enum Effect {
        Deny,
        Permit,
    }
}

/// Policy's answer to a [`TokenRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub effect: Effect,
    /// Sorted `@id`s: of a permit, the `permit` policies that matched; of a denial, the `forbid` policies that matched
    /// or failed, and none if no policy permitted.
    pub determining_rules: Vec<String>,
    /// Sorted `@id`s of policies whose evaluation failed. A failing `permit` grants nothing, a failing `forbid`
    /// denies.
    pub erring_rules: Vec<String>,
    /// The Cedar request and entities as JSON: together with the bundle, enough to reproduce the decision.
    pub cedar_request: String,
}

/// Why the policy component did not answer. The texts are for the log, never for a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("the issuer's credential: {0}")]
    CredentialUnavailable(String),
    #[error("{0}")]
    Internal(String),
    #[error("the bundle does not load: {0}")]
    InvalidBundle(String),
    #[error("the bundle changed")]
    StaleDigest,
}
