//! Why the gateway refuses: one enum, a stable slug each, and the status on the wire.

use crate::versions::ActFault;

/// A refusal, by culprit: the caller's credential, its request, or what stands behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the canary failed more often than the active version, or gave a wrong signature")]
    CanaryWorse,
    #[error("not enough canary data: {missing} more outcomes required")]
    CanaryUnproven { missing: u64 },
    /// Told to the caller as [`Refusal::Credential`]: whoever stole the credential learns nothing of its binding.
    #[error("the credential is bound to another client certificate")]
    Certificate,
    /// Its clock was set, and nobody has said yet that it is right.
    #[error("the gateway's clock was set")]
    ClockSet,
    #[error("another gateway changed the same at the same time")]
    Conflict,
    #[error("the credential is missing or unknown")]
    Credential,
    /// Unknown, or another's: which of the two is not said.
    #[error("the key group is not open to this credential")]
    Group,
    #[error("the hsm can't be used now")]
    HsmUnavailable,
    /// Unknown, or another's: which of the two is not said.
    #[error("the key is not open to this credential")]
    Key,
    #[error("the key's version is not the one that signs now")]
    KeyVersion,
    #[error("the credential may not ask for public keys more often now")]
    KeysRate { retry_after_seconds: u64 },
    #[error("what was done can't be written to the log")]
    LogUnavailable,
    #[error("the hsm has more to do than fits its queue")]
    Overloaded,
    #[error("the key may not be used more often now")]
    Rate { retry_after_seconds: u64 },
    #[error("the request is malformed")]
    Request,
    #[error("the group has no epoch keys of this algorithm")]
    SeedAlgorithm,
    #[error("no epoch starts at this moment")]
    SeedEpoch,
    #[error("the generation is not the current one")]
    SeedGeneration,
    #[error("the credential may not ask for seeds more often now")]
    SeedRate { retry_after_seconds: u64 },
    #[error("the epoch's window does not contain the gateway's clock")]
    SeedWindow,
    #[error("verifiers may not know the standby generation yet: {seconds_left} s are left")]
    StandbyUnknown { seconds_left: u64 },
    #[error("the token may not be signed: {0}")]
    Token(TokenFault),
    #[error("{0}")]
    Version(ActFault),
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
            Self::Group
            | Self::Key
            | Self::SeedAlgorithm
            | Self::SeedEpoch
            | Self::SeedWindow
            | Self::Token(_) => 403,
            // The caller can do something about it: ask which is the current one.
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

    /// Seconds for `retry-after`, where waiting helps.
    #[must_use]
    pub fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::KeysRate {
                retry_after_seconds,
            }
            | Self::Rate {
                retry_after_seconds,
            }
            | Self::SeedRate {
                retry_after_seconds,
            } => Some(retry_after_seconds),
            Self::StandbyUnknown { seconds_left } => Some(seconds_left),
            Self::ClockSet | Self::HsmUnavailable | Self::LogUnavailable | Self::Overloaded => {
                Some(1)
            }
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

/// What is wrong with a token that an HSM key was asked to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    #[error("`alg` is not the key's algorithm")]
    Algorithm,
    #[error("`aud` is not one of the key's audiences")]
    Audience,
    #[error("a claim is missing, of the wrong kind or not open to this key")]
    Claim,
    #[error("`iss` is not the key group's issuer")]
    Issuer,
    #[error("it lives longer than the key allows, or not at all")]
    Lifetime,
    #[error("it is not base64url of strict JSON objects, or too long")]
    Malformed,
    #[error("`iat` or `nbf` is too far from the gateway's clock")]
    Times,
    #[error("`typ` is neither `at+jwt` nor `JWT`, or the header has other members")]
    Type,
}

impl TokenFault {
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

impl From<TokenFault> for Refusal {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}

impl From<ActFault> for Refusal {
    fn from(fault: ActFault) -> Self {
        Self::Version(fault)
    }
}
