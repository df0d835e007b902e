//! What each platform says about a workload in its tokens: one folder per provider, made to be copied.
//!
//! A provider is a table: the claims that the platform documents with their types, a Cedar entity type,
//! the algorithms it signs with, and defaults that fit how its tokens are used. Policy reads it to check
//! a bundle, identity to verify a token; nothing here decides or verifies anything. A new provider is a
//! folder, a line in [`PROVIDERS`], an entity type in `policies/schema.cedarschema`, a page in
//! `docs/providers`.
//!
//! The entity id is `sub` for all: unique within an issuer, and never parsed, but for SPIFFE, whose
//! specification says what is in it. Absent, empty and wrongly typed are different things: an absent
//! optional claim is an absent attribute, an empty optional one an empty attribute; a required claim
//! that is absent or empty, or any claim of another type, makes a token unacceptable.
//!
//! Entry points: [`Provider::named`], [`attributes`], [`is_unprintable`].

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "tests may panic")
)]

mod attribute;
pub mod aws;
pub mod azure;
pub mod buildkite;
pub mod circleci;
mod claim;
pub mod github;
pub mod gitlab;
pub mod google;
pub mod kubernetes;
pub mod oidc;
pub mod spiffe;
pub mod terraform;

pub use attribute::{ClaimError, ClaimFault, INTEGER_MAX, attributes};
pub use claim::{Claim, Source};
pub use vouchsafe_claims::is_unprintable;
pub use vouchsafe_types::{Attribute, AttributeValue, ClaimType};

/// Every provider, in the order of their names.
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

/// Every algorithm that a provider's tokens may be signed with (RFC 7518 §3.1, RFC 8037 §3.1).
pub const ALGORITHMS: &[&str] = &["RS256", "ES256", "ES384", "EdDSA"];

/// A kind of issuer.
#[derive(Debug)]
pub struct Provider {
    /// `provider` in an issuer's file.
    pub name: &'static str,
    pub principal: Principal,
    /// The documented claims in the order of their names; empty where the issuer's file declares them.
    pub claims: &'static [Claim],
    /// What `algorithms` of an issuer's file may list.
    pub algorithms: &'static [&'static str],
    /// What it lists by default.
    pub default_algorithms: &'static [&'static str],
    /// Default of `max_token_age`.
    pub max_token_age_seconds: u64,
    /// Default of `replay`.
    pub replay: Replay,
    pub profile: Profile,
    /// Whose claims must be pinned in an issuer's file, because one issuer serves all tenants.
    pub tenancy: Option<Tenancy>,
    /// Issuers that anybody can have tokens of, and that rules narrow: they serve too many tenants for
    /// an issuer's file to name them.
    pub open_issuers: &'static [&'static str],
    /// Claims of open issuers whose value for one tenant no other tenant can have.
    pub tenant_claims: &'static [&'static str],
    /// URLs at or below which the platform issues tokens to many tenants. An issuer there is of this provider and
    /// no other, so that its tenants are told apart.
    pub shared_issuers: &'static [&'static str],
    /// Parts of URLs that look like an issuer's and that no token names.
    pub never_issuers: &'static [&'static str],
    /// Claims whose values are the words of whoever asked for the token.
    pub chosen_by_caller: &'static [&'static str],
    /// Claims whose values hold letters, digits and `-` only: none can be taken for the text beside it.
    pub plain_claims: &'static [&'static str],
    /// Sets of claims of which each names one workload of the issuer, as `sub` does.
    pub workload_claims: &'static [&'static [&'static str]],
    /// Names that can be had by somebody else later, with the ids that make one safe to trust.
    pub names_with_ids: &'static [(&'static str, &'static [&'static str])],
}

/// The Cedar entity type of a provider's principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// One type for all issuers of the provider.
    Type(&'static str),
    /// A type of its own for each issuer, made from the issuer's name.
    OfIssuer,
}

/// How often a token is presented where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    Allow,
    SingleUse,
}

/// Which rules a token keeps beside its claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// RFC 7519 with `iss` and `iat`.
    Jwt,
    /// The SPIFFE JWT-SVID specification: the trust domain in `sub` says whose token it is, `iss`
    /// and `iat` are optional, the header has nothing but `alg`, `kid` and `typ`.
    JwtSvid,
}

/// One issuer serves many tenants.
#[derive(Debug)]
pub struct Tenancy {
    /// An issuer's file pins at least one of these.
    pub claims: &'static [&'static str],
    /// A tenant's own issuer has this in its URL, and needs no pinning.
    pub own_issuer_contains: Option<&'static str>,
}

impl Provider {
    /// The provider of exactly this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROVIDERS
            .iter()
            .find(|provider| provider.name == name)
            .copied()
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
        providers
            .find(|provider| provider.shared_issuers.iter().any(is_at))
            .copied()
    }

    /// Whether an issuer's file declares the claims.
    #[must_use]
    pub fn declares_claims(&self) -> bool {
        self.principal == Principal::OfIssuer
    }

    /// The Cedar entity type of the principals of the issuer of this name.
    #[must_use]
    pub fn entity_type(&self, issuer_name: &str) -> String {
        match self.principal {
            Principal::Type(name) => name.to_owned(),
            Principal::OfIssuer => oidc::entity_type(issuer_name),
        }
    }

    /// The claims of which an issuer's file must pin one.
    #[must_use]
    pub fn unpinned_tenancy(&self, issuer: &str) -> Option<&'static [&'static str]> {
        let tenancy = self.tenancy.as_ref()?;
        let own = tenancy
            .own_issuer_contains
            .is_some_and(|part| issuer.contains(part));
        (!own).then_some(tenancy.claims)
    }
}

/// Two providers are the same if they have one name.
impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Provider {}

#[cfg(test)]
mod tests;
