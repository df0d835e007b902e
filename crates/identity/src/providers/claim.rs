//! The type of a claim, and where it comes from.

use std::borrow::Cow;

/// Type of a claim's value, and of the Cedar attribute it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimType {
    /// A JSON boolean; `Bool` in Cedar.
    Boolean,
    /// A JSON integer within ±(2^53 − 1) (RFC 7493 §2.2); `Long` in Cedar.
    Integer,
    /// A JSON string; `String` in Cedar.
    Text,
    /// A JSON array of strings; `Set<String>` in Cedar.
    TextSet,
}

/// One claim that becomes an attribute of the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredClaim {
    /// The attribute's name, and the claim's unless it has a `path`.
    pub name: Cow<'static, str>,
    /// Names of members from the token's claims inward, where the claim lies in an object of another
    /// claim; else empty.
    pub path: &'static [&'static str],
    pub claim_type: ClaimType,
    /// A token without a required claim is refused; an optional one that is absent is an absent
    /// attribute (`name?: Type` in a Cedar schema).
    pub required: bool,
    /// Whether `null` counts as absent: a habit of some providers, and refused elsewhere.
    pub nullable: bool,
}

impl DeclaredClaim {
    /// A claim that every token of the provider carries.
    #[must_use]
    pub const fn required(name: &'static str, claim_type: ClaimType) -> Self {
        Self {
            name: Cow::Borrowed(name),
            path: &[],
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
            path: &[],
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
            path: &[],
            claim_type,
            required: false,
            nullable: true,
        }
    }

    /// A claim within an object of another claim.
    #[must_use]
    pub const fn nested(
        name: &'static str,
        claim_type: ClaimType,
        path: &'static [&'static str],
        required: bool,
    ) -> Self {
        Self {
            name: Cow::Borrowed(name),
            path,
            claim_type,
            required,
            nullable: false,
        }
    }
}
