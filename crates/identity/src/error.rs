//! Every way in which a token can be unacceptable or keys can't be had.

use std::borrow::Cow;
use std::fmt;

use vouchsafe_jose::{JsonError, JwsError, KeyLookupError, KeySetError, Malformed, SignatureError};

use vouchsafe_providers::{ClaimError, ClaimFault};

use crate::url::UrlRejection;

/// Name of a claim that the configuration asks for; never a name that a token chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimName(pub Cow<'static, str>);

impl ClaimName {
    pub(crate) const fn registered(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a subject token is refused. No text holds a value of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token's algorithm is not allowed for its issuer")]
    AlgorithmNotAllowed,
    #[error("the token is not for an accepted audience alone")]
    AudienceMismatch,
    #[error("the claim `{0}` is not acceptable")]
    ClaimInvalid(ClaimName),
    #[error("the claim `{0}` has another value than the issuer's file requires")]
    ClaimMismatch(ClaimName),
    #[error("the claim `{0}` is missing")]
    ClaimMissing(ClaimName),
    #[error("the token's header asks for processing that is not supported")]
    CriticalHeader,
    #[error("the token has expired")]
    Expired,
    #[error("the token's issuer is not trusted")]
    IssuerUntrusted,
    #[error("the issuer has no such key")]
    KeyUnknown,
    #[error("the issuer's key can't be used for this token")]
    KeyUnusable,
    #[error("the token is malformed")]
    Malformed(#[source] Malformed),
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token's signature does not verify")]
    SignatureInvalid,
    #[error("the token is too large")]
    TooLarge,
    #[error("the token is too old")]
    TooOld,
    #[error("the token is of a type that is not accepted")]
    TypeNotAllowed,
}

impl TokenError {
    /// Stable name in the audit log and in error answers.
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
            Self::Malformed(_) => "token.malformed",
            Self::NotYetValid => "token.not_yet_valid",
            Self::SignatureInvalid => "token.signature_invalid",
            Self::TooLarge => "token.too_large",
            Self::TooOld => "token.too_old",
            Self::TypeNotAllowed => "token.type_not_allowed",
        }
    }
}

impl From<ClaimError> for TokenError {
    fn from(error: ClaimError) -> Self {
        match error.fault {
            ClaimFault::Missing => Self::ClaimMissing(ClaimName(error.name)),
            ClaimFault::Empty | ClaimFault::NotReached | ClaimFault::Type(_) => {
                Self::ClaimInvalid(ClaimName(error.name))
            }
        }
    }
}

impl From<JwsError> for TokenError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::AlgorithmNotAllowed => Self::AlgorithmNotAllowed,
            JwsError::CriticalHeader => Self::CriticalHeader,
            JwsError::Malformed(malformed) => Self::Malformed(malformed),
            JwsError::TooLarge => Self::TooLarge,
        }
    }
}

impl From<KeyLookupError> for TokenError {
    fn from(error: KeyLookupError) -> Self {
        match error {
            KeyLookupError::Unknown => Self::KeyUnknown,
            KeyLookupError::Unusable => Self::KeyUnusable,
        }
    }
}

impl From<SignatureError> for TokenError {
    fn from(_: SignatureError) -> Self {
        Self::SignatureInvalid
    }
}

/// Why an issuer's keys can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the credential is not a bearer token")]
    CredentialInvalid,
    #[error("the issuer's document is not acceptable")]
    DocumentInvalid(#[source] DocumentError),
    #[error("the discovery document names another issuer")]
    IssuerMismatch,
    #[error("the pinned keys have expired")]
    PinnedKeysExpired,
    #[error("the issuer answered with status {0}")]
    Status(u16),
    #[error("the issuer did not answer in time")]
    TimedOut,
    #[error("the issuer's document is too large")]
    TooLarge,
    #[error("the issuer can't be reached")]
    Unreachable,
    #[error("the issuer's url may not be fetched")]
    UrlRefused(#[source] UrlRejection),
}

/// What is wrong with a discovery or key document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error("the digest is not that of the document")]
    Digest,
    #[error("the discovery document is not strict JSON")]
    Discovery(#[source] JsonError),
    #[error("`{0}` is missing or not a string")]
    DiscoveryMember(&'static str),
    #[error("the issuer's record is not usable")]
    IssuerRecord,
    #[error("the key set is not usable")]
    KeySet(#[source] KeySetError),
    #[error("the key set has no usable key")]
    NoUsableKey,
}
