//! Why a token is invalid.

/// The step at which verification failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Token,
    KeySet,
    Key,
    Certificate,
    Signature,
    Claims,
    /// The list of what is revoked can't be used.
    Revocations,
    Revoked,
    /// The token is valid, but doesn't permit the operation.
    Scope,
}

impl Check {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::KeySet => "key set",
            Self::Key => "key",
            Self::Certificate => "certificate",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Revocations => "revocations",
            Self::Revoked => "revoked",
            Self::Scope => "scope",
        }
    }
}

/// Why a token is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct VerificationError {
    pub check: Check,
    pub reason: String,
    pub hint: Option<&'static str>,
}

impl VerificationError {
    pub(crate) fn new(check: Check, reason: impl ToString) -> Self {
        Self { check, reason: reason.to_string(), hint: None }
    }
}
