//! The type of a claim, and where it comes from.

use std::borrow::Cow;

/// Type of a claim's value, and of the Cedar attribute it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimType {
    /// A JSON boolean; `Bool` in Cedar.
    Boolean,
    /// A JSON integer within ±(2^53 − 1) (RFC 7493 §2.2); `Long` in Cedar.
    Integer,
    /// A JSON string; `String` in Cedar.
    Text,
    /// A JSON object of strings; `Set<String>` of `name=value` in Cedar. A name with a `=` is refused,
    /// since it would make two different objects look the same.
    TextMap,
    /// A JSON string, or an array of strings; `Set<String>` in Cedar.
    TextOrSet,
    /// A JSON array of strings; `Set<String>` in Cedar.
    TextSet,
}

impl ClaimType {
    /// What a value has to be, for messages.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Text => "a text",
            Self::TextMap => "an object of texts whose names have no `=`",
            Self::TextOrSet => "a text or an array of texts",
            Self::TextSet => "an array of texts",
        }
    }

    /// The Cedar type of the attribute.
    #[must_use]
    pub const fn cedar_type(self) -> &'static str {
        match self {
            Self::Boolean => "Bool",
            Self::Integer => "Long",
            Self::Text => "String",
            Self::TextMap | Self::TextOrSet | Self::TextSet => "Set<String>",
        }
    }
}

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
