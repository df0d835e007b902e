//! The outcome of a request.

use vouchsafe_types::PolicyError;
pub use vouchsafe_types::{Decision, Effect};

/// Why a request cannot be decided. Never treated as a permit, and never contains the value of a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecideError {
    #[error("attributes of `{entity_type}` do not fit the schema")]
    AttributesInvalid { entity_type: String },
    #[error("audience is not in the bundle")]
    AudienceUnknown,
    #[error("client address is not an IP address")]
    ClientIpInvalid,
    #[error("principals of issuer `{issuer}` are `{expected}`, not `{found}`")]
    EntityTypeMismatch { issuer: String, expected: String, found: String },
    #[error("issuer is not in the bundle")]
    IssuerUnknown,
    #[error("requested lifetime does not fit a signed 64-bit number of seconds")]
    LifetimeInvalid,
    #[error("request does not fit the schema")]
    RequestInvalid,
    #[error("policies for this request cannot be combined")]
    PoliciesInvalid,
    #[error("time is not before the year 10000")]
    TimeInvalid,
}

/// None of these is caused by a caller's input, so all are internal.
impl From<DecideError> for PolicyError {
    fn from(error: DecideError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl DecideError {
    /// The stable name of the error.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::AttributesInvalid { .. } => "policy.attributes_invalid",
            Self::AudienceUnknown => "policy.audience_unknown",
            Self::ClientIpInvalid => "policy.client_ip_invalid",
            Self::EntityTypeMismatch { .. } => "policy.entity_type_mismatch",
            Self::IssuerUnknown => "policy.issuer_unknown",
            Self::LifetimeInvalid => "policy.lifetime_invalid",
            Self::RequestInvalid => "policy.request_invalid",
            Self::PoliciesInvalid => "policy.rules_invalid",
            Self::TimeInvalid => "policy.time_invalid",
        }
    }
}
