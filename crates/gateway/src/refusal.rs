//! Refusals of the gateway, with their slugs and HTTP status codes.

use crate::versions::OperationError;

/// Why the gateway refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the canary failed more often than the active version or made an invalid signature")]
    CanaryWorse,
    #[error("not enough canary data: {missing} more outcomes required")]
    CanaryUnproven { missing: u64 },
    /// Reported to the caller as [`Refusal::Credential`], so that a stolen credential does not reveal its binding.
    #[error("the credential is bound to another client certificate")]
    Certificate,
    /// The clock was changed, and no operator has confirmed it yet.
    #[error("the gateway's clock was changed and is not confirmed")]
    ClockSet,
    #[error("conflict: modified concurrently by another gateway")]
    Conflict,
    #[error("the credential is missing or unknown")]
    Credential,
    /// Unknown or not permitted; the message doesn't reveal which.
    #[error("this credential may not use the key group")]
    Group,
    #[error("the HSM is unavailable")]
    HsmUnavailable,
    /// Unknown or not permitted; the message doesn't reveal which.
    #[error("this credential may not use the key")]
    Key,
    #[error("`kid` is not a published version of the key")]
    KeyVersion,
    #[error("rate limit for public keys exceeded")]
    KeysRate { retry_after_seconds: u64 },
    #[error("the log can't be written")]
    LogUnavailable,
    #[error("the HSM request queue is full")]
    Overloaded,
    #[error("rate limit of the key exceeded")]
    Rate { retry_after_seconds: u64 },
    #[error("malformed request")]
    Request,
    #[error("the key group has no epoch keys for this algorithm")]
    SeedAlgorithm,
    #[error("no epoch starts at this time")]
    SeedEpoch,
    #[error("the generation is not the current one")]
    SeedGeneration,
    #[error("rate limit for seeds exceeded")]
    SeedRate { retry_after_seconds: u64 },
    #[error("the gateway's clock is outside the epoch's window")]
    SeedWindow,
    #[error("verifiers may not know the standby generation yet: wait {seconds_left} s")]
    StandbyUnknown { seconds_left: u64 },
    #[error("the token may not be signed: {0}")]
    Token(TokenError),
    #[error("{0}")]
    Version(OperationError),
}

impl Refusal {
    /// Stable name for the log, the wire and tests.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::CanaryUnproven { .. } => "canary.unproven",
            Self::CanaryWorse => "canary.worse",
            Self::Certificate => "credential.certificate",
            Self::ClockSet => "clock.set",
            Self::Conflict => "version.conflict",
            Self::Version(fault) => fault.slug(),
            Self::Credential => "credential.unknown",
            Self::Group => "group.forbidden",
            Self::HsmUnavailable => "hsm.unavailable",
            Self::Key => "key.forbidden",
            Self::KeyVersion => "key.version",
            Self::KeysRate { .. } => "keys.rate",
            Self::LogUnavailable => "log.unavailable",
            Self::Overloaded => "hsm.overloaded",
            Self::Rate { .. } => "key.rate",
            Self::Request => "request.malformed",
            Self::SeedAlgorithm => "seed.algorithm",
            Self::SeedEpoch => "seed.epoch",
            Self::SeedGeneration => "seed.generation",
            Self::SeedRate { .. } => "seed.rate",
            Self::SeedWindow => "seed.window",
            Self::StandbyUnknown { .. } => "generation.standby_unknown",
            Self::Token(fault) => fault.slug(),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Request => 400,
            Self::Certificate | Self::Credential => 401,
            Self::Group | Self::Key | Self::SeedAlgorithm | Self::SeedEpoch | Self::SeedWindow | Self::Token(_) => 403,
            // The caller can read the current state and try again.
            Self::CanaryUnproven { .. }
            | Self::CanaryWorse
            | Self::Conflict
            | Self::KeyVersion
            | Self::SeedGeneration
            | Self::StandbyUnknown { .. }
            | Self::Version(_) => 409,
            Self::KeysRate { .. } | Self::Rate { .. } | Self::SeedRate { .. } => 429,
            Self::ClockSet | Self::HsmUnavailable | Self::LogUnavailable | Self::Overloaded => 503,
        }
    }

    /// Seconds for `retry-after`, if waiting helps.
    #[must_use]
    pub fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::KeysRate { retry_after_seconds }
            | Self::Rate { retry_after_seconds }
            | Self::SeedRate { retry_after_seconds } => Some(retry_after_seconds),
            Self::StandbyUnknown { seconds_left } => Some(seconds_left),
            Self::ClockSet | Self::HsmUnavailable | Self::LogUnavailable | Self::Overloaded => Some(1),
            Self::CanaryUnproven { .. }
            | Self::CanaryWorse
            | Self::Certificate
            | Self::Conflict
            | Self::Credential
            | Self::Group
            | Self::Key
            | Self::KeyVersion
            | Self::Request
            | Self::SeedAlgorithm
            | Self::SeedEpoch
            | Self::SeedGeneration
            | Self::SeedWindow
            | Self::Token(_)
            | Self::Version(_) => None,
        }
    }
}

/// Why an HSM key must not sign a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("`alg` is not the key's algorithm")]
    Algorithm,
    #[error("`aud` is not one of the key's audiences")]
    Audience,
    #[error("a claim is missing, has the wrong type or is not allowed for this key")]
    Claim,
    #[error("`iss` is not the key group's issuer")]
    Issuer,
    #[error("the lifetime is zero or longer than the key allows")]
    Lifetime,
    #[error("not base64url of strict JSON objects, or too long")]
    Malformed,
    #[error("`iat` or `nbf` is too far from the gateway's clock")]
    Times,
    #[error("`typ` is neither `at+jwt` nor `JWT`, or the header has other members")]
    Type,
}

impl TokenError {
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Algorithm => "token.algorithm",
            Self::Audience => "token.audience",
            Self::Claim => "token.claim",
            Self::Issuer => "token.issuer",
            Self::Lifetime => "token.lifetime",
            Self::Malformed => "token.malformed",
            Self::Times => "token.times",
            Self::Type => "token.type",
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(fault: TokenError) -> Self {
        Self::Token(fault)
    }
}

impl From<OperationError> for Refusal {
    fn from(fault: OperationError) -> Self {
        Self::Version(fault)
    }
}
