//! Why a subject token is rejected.

/// Why a subject token is rejected. A claim's name comes from configuration, never from the token; no text holds a
/// value of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the subject token's algorithm is not allowed for its issuer")]
    AlgorithmNotAllowed,
    #[error("the subject token's audience is not this broker")]
    AudienceMismatch,
    #[error("the claim `{0}` of the subject token is invalid")]
    ClaimInvalid(String),
    #[error("the claim `{0}` of the subject token does not have a required value")]
    ClaimMismatch(String),
    #[error("the subject token lacks the claim `{0}`")]
    ClaimMissing(String),
    #[error("the subject token's header has a critical extension")]
    CriticalHeader,
    #[error("the subject token has expired")]
    Expired,
    #[error("the subject token's issuer is not trusted")]
    IssuerUntrusted,
    #[error("the subject token's key is not in its issuer's key set")]
    KeyUnknown,
    #[error("the subject token's key cannot be used with its algorithm")]
    KeyUnusable,
    #[error("the subject token is malformed")]
    Malformed,
    #[error("the subject token is not valid yet")]
    NotYetValid,
    #[error("the subject token's signature is invalid")]
    SignatureInvalid,
    #[error("the subject token is over 16 KiB")]
    TooLarge,
    #[error("the subject token was issued too long ago")]
    TooOld,
    #[error("the subject token's type is not accepted")]
    TypeNotAllowed,
}

impl TokenError {
    /// Stable name in the audit log.
    #[must_use]
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::AlgorithmNotAllowed => "token.algorithm_not_allowed",
            Self::AudienceMismatch => "token.audience_mismatch",
            Self::ClaimInvalid(_) => "token.claim_invalid",
            Self::ClaimMismatch(_) => "token.claim_mismatch",
            Self::ClaimMissing(_) => "token.claim_missing",
            Self::CriticalHeader => "token.critical_header",
            Self::Expired => "token.expired",
            Self::IssuerUntrusted => "token.issuer_untrusted",
            Self::KeyUnknown => "token.key_unknown",
            Self::KeyUnusable => "token.key_unusable",
            Self::Malformed => "token.malformed",
            Self::NotYetValid => "token.not_yet_valid",
            Self::SignatureInvalid => "token.signature_invalid",
            Self::TooLarge => "token.too_large",
            Self::TooOld => "token.too_old",
            Self::TypeNotAllowed => "token.type_not_allowed",
        }
    }
}
