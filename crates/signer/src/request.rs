//! What is asked of the signer, and what it answers.

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted (RFC 7519 §2 `NumericDate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// Where the key must live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Delegated,
    Hsm,
}

/// The header's `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    /// RFC 9068 §2.1.
    AccessToken,
    Jwt,
}

impl TokenType {
    pub(crate) fn typ(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::Jwt => "JWT",
        }
    }
}

/// A claim beside the ones that the signer writes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraClaim {
    pub name: String,
    /// One JSON value.
    pub value: String,
}

/// The workload that a token is for, as it showed itself to the broker. No part of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedIdentity {
    /// The issuer of the workload's own token.
    pub issuer: String,
    /// Its immutable id there.
    pub principal: String,
}

/// Typed claims: the signer builds header and payload itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
    pub tier: Tier,
    pub algorithm: String,
    pub token_type: TokenType,
    pub issued_at: UnixSeconds,
    pub lifetime_seconds: u64,
    pub jti: String,
    pub scopes: Vec<String>,
    pub extra_claims: Vec<ExtraClaim>,
    /// For rollout shares alone; without it none applies.
    pub presented: Option<PresentedIdentity>,
}

/// A signed token. Its text is a credential, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedToken {
    /// Compact serialization (RFC 7515 §3.1).
    pub jwt: String,
    pub kid: String,
    /// Start of the key's epoch, in Unix seconds.
    pub key_version: String,
    /// Of an epoch key: its generation.
    pub generation: Option<u64>,
    pub expires_at: UnixSeconds,
}
