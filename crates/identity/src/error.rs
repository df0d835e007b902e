//! Reasons for rejecting tokens and for failing to fetch keys.

use std::borrow::Cow;
use std::fmt;

use vouchsafe_jose::{JsonError, JwsError, KeyLookupError, KeySetError, Malformed, SignatureError};

use vouchsafe_providers::{ClaimError, ClaimFault};
use vouchsafe_types::Unreachable;

use crate::url::UrlRejection;

/// Name of a claim from configuration; never a name chosen by a token.
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

/// Why a subject token is rejected. No text contains a value from the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token's algorithm is not allowed for its issuer")]
    AlgorithmNotAllowed,
    #[error("the token's audience is not accepted, or not the only one")]
    AudienceMismatch,
    #[error("the claim `{0}` is invalid")]
    ClaimInvalid(ClaimName),
    #[error("the claim `{0}` does not have a value that the issuer's file requires")]
    ClaimMismatch(ClaimName),
    #[error("the claim `{0}` is missing")]
    ClaimMissing(ClaimName),
    #[error("the token's header has an unsupported critical extension")]
    CriticalHeader,
    #[error("the token has expired")]
    Expired,
    #[error("the token's issuer is not trusted")]
    IssuerUntrusted,
    #[error("the token's key is not in the issuer's key set")]
    KeyUnknown,
    #[error("the issuer's key cannot be used with the token's algorithm")]
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
    #[error("the token's type is not accepted")]
    TypeNotAllowed,
}

impl TokenError {
    /// Stable name in the audit log.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        vouchsafe_types::TokenError::from(self.clone()).slug()
    }
}

/// Drops the details that only tests and tools use.
impl From<TokenError> for vouchsafe_types::TokenError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::AlgorithmNotAllowed => Self::AlgorithmNotAllowed,
            TokenError::AudienceMismatch => Self::AudienceMismatch,
            TokenError::ClaimInvalid(name) => Self::ClaimInvalid(name.to_string()),
            TokenError::ClaimMismatch(name) => Self::ClaimMismatch(name.to_string()),
            TokenError::ClaimMissing(name) => Self::ClaimMissing(name.to_string()),
            TokenError::CriticalHeader => Self::CriticalHeader,
            TokenError::Expired => Self::Expired,
            TokenError::IssuerUntrusted => Self::IssuerUntrusted,
            TokenError::KeyUnknown => Self::KeyUnknown,
            TokenError::KeyUnusable => Self::KeyUnusable,
            TokenError::Malformed(_) => Self::Malformed,
            TokenError::NotYetValid => Self::NotYetValid,
            TokenError::SignatureInvalid => Self::SignatureInvalid,
            TokenError::TooLarge => Self::TooLarge,
            TokenError::TooOld => Self::TooOld,
            TokenError::TypeNotAllowed => Self::TypeNotAllowed,
        }
    }
}

/// Keys that cannot be parsed verify nothing.
impl From<DocumentError> for vouchsafe_types::TokenError {
    fn from(_: DocumentError) -> Self {
        Self::KeyUnusable
    }
}

impl From<FetchError> for vouchsafe_types::FetchError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::CredentialInvalid => Self::CredentialInvalid,
            FetchError::DocumentInvalid(reason) => Self::DocumentInvalid(chain(&reason)),
            FetchError::IssuerMismatch => Self::IssuerMismatch,
            FetchError::PinnedKeysExpired => Self::PinnedKeysExpired,
            FetchError::Status(status) => Self::Status(status),
            FetchError::TimedOut => Self::TimedOut,
            FetchError::TooLarge => Self::TooLarge,
            FetchError::Unreachable(unreachable) => Self::Unreachable(unreachable),
            FetchError::JwksUriRefused { .. } | FetchError::UrlRefused(_) => Self::UrlRefused,
        }
    }
}

/// An error with all its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
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

/// Why an issuer's keys could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the credential is not a bearer token")]
    CredentialInvalid,
    #[error("invalid document")]
    DocumentInvalid(#[source] DocumentError),
    #[error("the discovery document names another issuer")]
    IssuerMismatch,
    #[error("the `jwks_uri` of the discovery document, `{url}`, must not be fetched")]
    JwksUriRefused {
        /// Without a query.
        url: String,
        #[source]
        reason: UrlRejection,
    },
    #[error("the pinned keys have expired")]
    PinnedKeysExpired,
    #[error("the issuer responded with status {0}")]
    Status(u16),
    #[error("the issuer did not respond in time")]
    TimedOut,
    #[error("the issuer's document is too large")]
    TooLarge,
    #[error("{0}")]
    Unreachable(Unreachable),
    #[error("the issuer's URL must not be fetched")]
    UrlRefused(#[source] UrlRejection),
}

/// What is wrong with a discovery or key document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error("the digest does not match the document")]
    Digest,
    #[error("the discovery document is not valid, strict JSON")]
    Discovery(#[source] JsonError),
    #[error("`{0}` is missing or not a string")]
    DiscoveryMember(&'static str),
    #[error("the issuer's record is invalid")]
    IssuerRecord,
    #[error("the key set is invalid")]
    KeySet(#[source] KeySetError),
    #[error("the key set has no usable key")]
    NoUsableKey,
}
