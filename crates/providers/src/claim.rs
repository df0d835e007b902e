//! The type of a claim, and where it comes from.

use std::borrow::Cow;
use vouchsafe_types::ClaimType;

/// Where the value of an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the claim of the attribute's name.
    Claim,
    /// Names of members from the token's claims inward.
    Path(&'static [&'static str]),
    /// In `sub`, which is a SPIFFE ID: what follows the trust domain.
    SpiffePath,
    /// In `sub`, which is a SPIFFE ID.
    SpiffeTrustDomain,
}

/// One claim that becomes an attribute of the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The attribute's name.
    pub name: Cow<'static, str>,
    pub source: Source,
    pub claim_type: ClaimType,
    /// A token without a required claim is unacceptable; an optional one that is absent is an absent
    /// attribute (`name?: Type` in a Cedar schema).
    pub required: bool,
    /// Whether `null` counts as absent: a habit of some providers, and refused elsewhere.
    pub nullable: bool,
}

impl Claim {
    /// A claim that every token of the provider carries.
    #[must_use]
    pub const fn required(name: &'static str, claim_type: ClaimType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            source: Source::Claim,
            claim_type,
            required: true,
            nullable: false,
        }
    }

    /// A claim that some tokens of the provider carry.
    #[must_use]
    pub const fn optional(name: &'static str, claim_type: ClaimType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            source: Source::Claim,
            claim_type,
            required: false,
            nullable: false,
        }
    }

    /// A claim that some tokens of the provider carry, and some as `null`.
    #[must_use]
    pub const fn nullable(name: &'static str, claim_type: ClaimType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            source: Source::Claim,
            claim_type,
            required: false,
            nullable: true,
        }
    }

    /// The same, from another place.
    #[must_use]
    pub const fn at(self, path: &'static [&'static str]) -> Self {
        self.from(Source::Path(path))
    }

    /// The same, from another source.
    #[must_use]
    pub const fn from(mut self, source: Source) -> Self {
        self.source = source;
        self
    }
}
