//! The outcome of a request.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Deny,
    Permit,
}

/// A decision and what determined it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub effect: Effect,
    /// Sorted `@id`s of the determining policies: if permitted, the `permit`s that matched; if denied, the
    /// `forbid`s that matched or failed to evaluate, or none if no `permit` matched.
    pub determining_rules: Vec<String>,
    /// Sorted `@id`s of the policies that failed to evaluate.
    pub erring_rules: Vec<String>,
    /// The Cedar request and its entities as JSON. Together with the bundle, it reproduces the decision.
    pub cedar_request: String,
}

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
    EntityTypeMismatch {
        issuer: String,
        expected: String,
        found: String,
    },
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
