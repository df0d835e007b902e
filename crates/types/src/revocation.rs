//! Revocations: which issued tokens are no longer valid, and which are not issued any more.

/// Which tokens: those that match every field that is present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// Name of an issuer file.
    pub issuer_name: Option<String>,
    /// The part of the token's `sub` after `<issuer name>:`.
    pub subject: Option<String>,
    pub audience: Option<String>,
    pub bundle_digest: Option<String>,
    pub kid: Option<String>,
}

/// Tokens that were issued within a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IssuedTokens {
    pub filter: TokenFilter,
    /// Earliest `iat`, inclusive.
    pub since: Option<u64>,
    /// Latest `iat`, inclusive; without it, the time of the revocation.
    pub until: Option<u64>,
}

/// What a revocation revokes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationTarget {
    /// All tokens that match, whenever they are issued, until the block is lifted.
    Blocked(TokenFilter),
    Issued(IssuedTokens),
    /// The token with this `jti`.
    Token(String),
}

/// Who did something, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribution {
    /// `sub` of the token that authorized it.
    pub actor: String,
    /// `jti` of that token: the decision that permitted it.
    pub decision_id: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Chosen by the caller, so that a repeated call has no further effect.
    pub id: String,
    pub target: RevocationTarget,
    pub at: u64,
    pub by: Attribution,
    pub lifted: Option<Lifted>,
}

/// The end of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifted {
    pub at: u64,
    pub by: Attribution,
}

/// The outcome of adding a revocation.
#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::large_enum_variant, reason = "it crosses components, where a box can't")
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// Another revocation has this id.
    Conflict,
    /// In force, now or from an earlier call.
    InForce(Revocation),
    /// There is no live token with this `jti`; nothing was written.
    NoSuchToken,
    /// There are too many revocations; nothing was written.
    TooMany,
}

/// Live tokens that a target revokes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Affected {
    pub tokens: u64,
    /// When the last of them expires; 0 if there are none.
    pub expires_at: u64,
    /// Whether all live tokens were counted: only the most recent decisions are read.
    pub complete: bool,
    /// The workloads with most of them.
    pub workloads: Vec<AffectedWorkload>,
}

/// The live tokens of one workload for one audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedWorkload {
    pub issuer_name: String,
    pub subject: String,
    pub audience: String,
    pub tokens: u64,
    pub expires_at: u64,
}

/// Which tokens are revoked, as far as a token shows it: those that match every field that is present.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationRule {
    /// Name of an issuer file.
    pub issuer_name: Option<String>,
    /// The part of the token's `sub` after `<issuer name>:`.
    pub subject: Option<String>,
    pub audience: Option<String>,
    pub kid: Option<String>,
    /// Earliest `iat`, inclusive.
    pub since: Option<u64>,
    /// Latest `iat`, inclusive; without it, tokens are revoked whenever they are issued.
    pub until: Option<u64>,
}

/// Everything that is revoked. A token is revoked if any rule matches it, if its `jti` is among the tokens, or if it was
/// issued before `began_at`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationList {
    /// Since when the store knows what is revoked.
    pub began_at: u64,
    /// Grows with each operation, and starts again only with a later `began_at`.
    pub sequence: u64,
    pub rules: Vec<RevocationRule>,
    /// `jti`s.
    pub tokens: Vec<String>,
}
