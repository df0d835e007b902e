//! The type and the source of a claim.

use std::borrow::Cow;
use vouchsafe_types::ClaimType;

/// Where an attribute's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The claim with the attribute's name.
    Claim,
    /// A path of member names, starting at the token's claims.
    Path(&'static [&'static str]),
    /// The path of the SPIFFE ID in `sub`.
    SpiffePath,
    /// The trust domain of the SPIFFE ID in `sub`.
    SpiffeTrustDomain,
}

/// One claim that becomes an attribute of the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The attribute's name.
    pub name: Cow<'static, str>,
    pub source: Source,
    pub claim_type: ClaimType,
    /// Whether a token without the claim is rejected. Otherwise the attribute is absent (`name?: Type` in a Cedar
    /// schema).
    pub required: bool,
    /// Whether `null` counts as absent, as some providers use it; otherwise it is rejected.
    pub nullable: bool,
}

impl Claim {
    /// A claim that every token of the provider carries.
    #[must_use]
    pub const fn required(name: &'static str, claim_type: ClaimType) -> Self {
        Self { name: Cow::Borrowed(name), source: Source::Claim, claim_type, required: true, nullable: false }
    }

    /// A claim that some tokens of the provider carry.
    #[must_use]
    pub const fn optional(name: &'static str, claim_type: ClaimType) -> Self {
        Self { name: Cow::Borrowed(name), source: Source::Claim, claim_type, required: false, nullable: false }
    }

    /// A claim that some tokens of the provider carry, sometimes as `null`.
    #[must_use]
    pub const fn nullable(name: &'static str, claim_type: ClaimType) -> Self {
        Self { name: Cow::Borrowed(name), source: Source::Claim, claim_type, required: false, nullable: true }
    }

    /// The same claim, read from `path`.
    #[must_use]
    pub const fn at(self, path: &'static [&'static str]) -> Self {
        self.from(Source::Path(path))
    }

    /// The same claim, read from `source`.
    #[must_use]
    pub const fn from(mut self, source: Source) -> Self {
        self.source = source;
        self
    }
}
