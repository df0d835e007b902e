//! What each platform's tokens say about a workload: one folder per provider, designed to be copied.
//!
//! A provider is a table: the platform's documented claims with their types, a Cedar entity type, the platform's
//! signing algorithms, and suitable defaults. Policy uses it to validate a bundle, identity to verify a token; this
//! crate neither decides nor verifies. A new provider needs a folder, a line in [`PROVIDERS`], an entity type in
//! `policies/schema.cedarschema`, and a page in `docs/providers`.
//!
//! The entity id is always `sub`: unique within an issuer, and never parsed, except for SPIFFE, which specifies its
//! contents. Absent, empty and wrongly typed differ: an absent optional claim gives an absent attribute, an empty one
//! an empty attribute; a required claim that is absent or empty, or any claim of the wrong type, invalidates the token.
//!
//! Entry points: [`Provider::named`], [`attributes`], [`is_unprintable`].

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod attribute;
pub mod aws;
pub mod azure;
pub mod buildkite;
pub mod circleci;
mod claim;
pub mod client;
pub mod github;
pub mod gitlab;
pub mod google;
pub mod kubernetes;
pub mod oidc;
mod provider;
pub mod spiffe;
pub mod terraform;

pub use attribute::{ClaimError, ClaimFault, INTEGER_MAX, attributes};
pub use claim::{Claim, Source};
pub use provider::{ALGORITHMS, PrincipalType, Profile, Provider, Replay, Tenancy};
pub use vouchsafe_claims::is_unprintable;
pub use vouchsafe_types::{Attribute, AttributeValue, ClaimType};

/// All providers, sorted by name.
pub static PROVIDERS: [&Provider; 11] = [
    &aws::PROVIDER,
    &azure::PROVIDER,
    &buildkite::PROVIDER,
    &circleci::PROVIDER,
    &github::PROVIDER,
    &gitlab::PROVIDER,
    &google::PROVIDER,
    &kubernetes::PROVIDER,
    &oidc::PROVIDER,
    &spiffe::PROVIDER,
    &terraform::PROVIDER,
];

impl Provider {
    /// The provider with exactly this name.
    ///
    /// ```
    /// use vouchsafe_providers::Provider;
    ///
    /// let github = Provider::named("github").map(|provider| provider.entity_type("main"));
    /// assert_eq!(github.as_deref(), Some("GitHub::Workflow"));
    /// assert!(Provider::named("GitHub").is_none());
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS.iter().find(|provider| provider.name == name).copied()
    }

    /// The provider that an issuer record names: one of [`PROVIDERS`], or that of clients, which no file can name.
    #[must_use]
    pub fn of_record(name: &str) -> Option<&'static Self> {
        Self::named(name).or_else(|| (name == client::PROVIDER.name).then_some(&client::PROVIDER))
    }

    /// The provider whose platform issues tokens to many tenants at `issuer`.
    #[must_use]
    pub fn of_shared_issuer(issuer: &str) -> Option<&'static Self> {
        let issuer = issuer.to_ascii_lowercase();
        let is_at = |base: &&str| {
            let rest = issuer.strip_prefix(*base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut providers = PROVIDERS.iter();
        providers.find(|provider| provider.shared_issuers.iter().any(is_at)).copied()
    }

    /// The Cedar entity type of principals from the issuer with this name.
    #[must_use]
    pub fn entity_type(&self, issuer_name: &str) -> String {
        match self.principal {
            PrincipalType::Type(name) => name.to_owned(),
            PrincipalType::OfIssuer => oidc::entity_type(issuer_name),
        }
    }
}

#[cfg(test)]
mod tests;
