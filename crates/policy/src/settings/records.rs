//! Issuers and audiences as they are used: every default filled in, every value checked.

use vouchsafe_providers::{Claim, Provider, Replay};
use vouchsafe_types::{DeclaredClaim, IssuerRecord};

pub use vouchsafe_types::{
    Audience, Client, ClientCredential, Environment, KeySource, PinnedKeys, ReplayMode, RequiredClaim, Tier, View,
};

/// The replay mode of a provider's tokens where an issuer file sets none.
pub(crate) fn default_replay(replay: Replay) -> ReplayMode {
    match replay {
        Replay::Allow => ReplayMode::Allow,
        Replay::SingleUse => ReplayMode::SingleUse,
    }
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
    /// Typed claims of an `oidc` issuer in name order; else empty.
    pub claims: Vec<Claim>,
    /// What is required of every token, in name order.
    pub require: Vec<RequiredClaim>,
    pub subject_template: Option<String>,
    /// Whether tokens with `act` or `may_act` are accepted.
    pub allow_act: bool,
    pub development: bool,
}

impl Issuer {
    /// The Cedar type of this issuer's principals. An `oidc` issuer has a type of its own, named
    /// after its file: `my-idp` is `Oidc::MyIdp`.
    pub fn entity_type(&self) -> String {
        self.provider.entity_type(&self.name)
    }

    /// The record by which identity verifies the issuer's tokens.
    pub fn record(&self) -> IssuerRecord {
        let declared = |claim: &Claim| DeclaredClaim {
            name: claim.name.to_string(),
            claim_type: claim.claim_type,
            required: claim.required,
        };
        IssuerRecord {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            provider: self.provider.name.to_owned(),
            audiences: self.audiences.clone(),
            algorithms: self.algorithms.clone(),
            keys: self.keys.clone(),
            keys_max_age_seconds: self.keys_max_age_seconds,
            stale_keys_max_seconds: self.stale_keys_max_seconds,
            max_token_age_seconds: self.max_token_age_seconds,
            leeway_seconds: self.leeway_seconds,
            replay: self.replay,
            claims: self.claims.iter().map(declared).collect(),
            require: self.require.clone(),
            subject_template: self.subject_template.clone(),
            allow_act: self.allow_act,
            development: self.development,
            authenticated: self.credential_file.is_some(),
        }
    }
}
