//! What describes a provider.

use crate::claim::Claim;

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
    /// Whether an issuer's file declares the claims.
    #[must_use]
    pub fn declares_claims(&self) -> bool {
        self.principal == Principal::OfIssuer
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
