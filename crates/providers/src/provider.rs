//! The description of a provider.

use crate::claim::Claim;

/// Every algorithm that a provider's tokens may be signed with (RFC 7518 §3.1, RFC 8037 §3.1).
pub const ALGORITHMS: &[&str] = &["RS256", "ES256", "ES384", "EdDSA"];

/// A kind of issuer.
#[derive(Debug)]
pub struct Provider {
    /// `provider` in an issuer file.
    pub name: &'static str,
    pub principal: PrincipalType,
    /// The documented claims, sorted by name; empty if the issuer file declares them.
    pub claims: &'static [Claim],
    /// Allowed values of `algorithms` in an issuer file.
    pub algorithms: &'static [&'static str],
    /// Default of `algorithms`.
    pub default_algorithms: &'static [&'static str],
    /// Default of `max_token_age`.
    pub max_token_age_seconds: u64,
    /// Default of `replay`.
    pub replay: Replay,
    pub profile: Profile,
    /// The claims that an issuer file must pin, because one issuer serves all tenants.
    pub tenancy: Option<Tenancy>,
    /// Issuers that serve anyone, and so too many tenants to list in an issuer file: policies must narrow them.
    pub open_issuers: &'static [&'static str],
    /// Claims of open issuers whose values are unique to one tenant.
    pub tenant_claims: &'static [&'static str],
    /// URLs at or below which the platform issues tokens to many tenants. An issuer there must use this provider, so
    /// that its tenants are distinguished.
    pub shared_issuers: &'static [&'static str],
    /// Parts of URLs that look like an issuer's but never occur in a token.
    pub never_issuers: &'static [&'static str],
    /// Claims whose values the requester of the token chooses.
    pub chosen_by_caller: &'static [&'static str],
    /// Claims whose values contain only letters, digits and `-`, so that they cannot be confused with adjacent text.
    pub plain_claims: &'static [&'static str],
    /// Sets of claims that each identify one workload of the issuer, as `sub` does.
    pub workload_claims: &'static [&'static [&'static str]],
    /// Names that someone else can take over later, with the ids that make each safe to trust.
    pub names_with_ids: &'static [(&'static str, &'static [&'static str])],
}

/// The Cedar entity type of a provider's principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalType {
    /// One type for all issuers of the provider.
    Type(&'static str),
    /// A separate type for each issuer, derived from the issuer's name.
    OfIssuer,
}

/// The default for how often a token may be presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    Allow,
    SingleUse,
}

/// The token format that a provider follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// RFC 7523 §2.2: as for [`Profile::Jwt`], and `typ` may be `client-authentication+jwt`.
    ClientAssertion,
    /// RFC 7519 with `iss` and `iat`.
    Jwt,
    /// The SPIFFE JWT-SVID specification: the trust domain in `sub` is the issuer, `iss` and `iat` are optional, and the
    /// header has only `alg`, `kid` and `typ`.
    JwtSvid,
}

/// One issuer serves many tenants.
#[derive(Debug)]
pub struct Tenancy {
    /// An issuer file must pin at least one of these.
    pub claims: &'static [&'static str],
    /// A tenant's own issuer has this in its URL, and needs no pinning.
    pub own_issuer_contains: Option<&'static str>,
}

impl Provider {
    /// Whether an issuer file declares the claims.
    #[must_use]
    pub fn declares_claims(&self) -> bool {
        self.principal == PrincipalType::OfIssuer
    }

    /// The claims of which an issuer file must pin at least one.
    #[must_use]
    pub fn unpinned_tenancy(&self, issuer: &str) -> Option<&'static [&'static str]> {
        let tenancy = self.tenancy.as_ref()?;
        let own = tenancy.own_issuer_contains.is_some_and(|part| issuer.contains(part));
        (!own).then_some(tenancy.claims)
    }
}

/// Providers are equal if their names are.
impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Provider {}
