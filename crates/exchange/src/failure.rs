//! A failed step: the refusal for the caller and the detail for the log.

use crate::refusal::{Denial, Part, Refusal};
use vouchsafe_types::{FetchError, PolicyError, SignerError, StoreError, Superseded};

/// Why a step of an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub refusal: Refusal,
    /// For the log; never contains a token, a key or a claim's value.
    pub detail: String,
}

impl Failure {
    #[must_use]
    pub fn new(refusal: impl Into<Refusal>, detail: impl Into<String>) -> Self {
        Self { refusal: refusal.into(), detail: detail.into() }
    }

    /// The keys of the issuer `name` could not be fetched.
    #[must_use]
    pub fn keys_unavailable(name: &str, error: &FetchError) -> Self {
        Self::new(Refusal::Unavailable(Part::Issuer), format!("keys of issuer `{name}`: {error}"))
    }
}

impl<R: Into<Refusal>> From<R> for Failure {
    fn from(refusal: R) -> Self {
        let refusal = refusal.into();
        let detail = match &refusal {
            // Callers don't learn it.
            Refusal::Client(fault) => fault.to_string(),
            _ => String::new(),
        };
        Self { refusal, detail }
    }
}

impl From<Superseded> for Failure {
    fn from(superseded: Superseded) -> Self {
        Self::new(Refusal::Superseded, superseded.to_string())
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let part = match error {
            PolicyError::CredentialUnavailable(_) => Part::Issuer,
            PolicyError::Internal(_) | PolicyError::InvalidBundle(_) | PolicyError::StaleDigest => Part::Policy,
        };
        Self::new(Refusal::Unavailable(part), error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let refusal = match error {
            StoreError::Invalid(_) => Refusal::Internal,
            StoreError::Unavailable(_) => Refusal::Unavailable(Part::Store),
        };
        Self::new(refusal, error.to_string())
    }
}

impl From<SignerError> for Failure {
    fn from(error: SignerError) -> Self {
        match error {
            SignerError::Superseded(superseded) => superseded.into(),
            SignerError::TierUnavailable => Denial::TierUnavailable.into(),
            SignerError::Refused(ceiling) => Self::new(Denial::SignerRefused, ceiling),
            SignerError::Internal | SignerError::Misconfigured(_) | SignerError::Unavailable(_) => {
                Self::new(Refusal::Unavailable(Part::Signer), error.to_string())
            }
        }
    }
}
