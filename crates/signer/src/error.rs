//! Errors by culprit: the operator's configuration, the request, or the signer itself.

use vouchsafe_types::{SignerError, Superseded};

use std::fmt;

/// Why the signer can't answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Never caused by input.
    #[error("internal error in the signer")]
    Internal,
    /// The message names the variable but never contains its value.
    #[error("variable `{variable}` {fault}")]
    Misconfigured { variable: Variable, fault: Fault },
    #[error("refused: {0}")]
    Refused(Ceiling),
    /// A token of a higher generation was already issued.
    #[error("{0}")]
    Superseded(Superseded),
    #[error("this signer has no HSM")]
    TierUnavailable,
    /// The configuration can't be read, or the gateway does not answer.
    #[error("the signer's backend is unavailable")]
    Unavailable,
}

impl Error {
    /// Stable name for logs, the audit record and tests.
    pub fn slug(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Misconfigured { .. } => "signer.misconfigured",
            Self::Refused(_) => "signer.refused",
            Self::Superseded(_) => "signer.superseded",
            Self::TierUnavailable => "audience.tier_unavailable",
            Self::Unavailable => "signer.unavailable",
        }
    }
}

impl From<Error> for SignerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Internal => Self::Internal,
            Error::Misconfigured { .. } => Self::Misconfigured(error.to_string()),
            Error::Refused(ceiling) => Self::Refused(ceiling.to_string()),
            Error::Superseded(superseded) => Self::Superseded(superseded),
            Error::TierUnavailable => Self::TierUnavailable,
            Error::Unavailable => Self::Unavailable(error.to_string()),
        }
    }
}

/// A variable of the signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    Development,
    ForwardedHeader,
    GatewayToken,
    GatewayUrls,
    Issuer,
    SignerAlgorithms,
    SignerAudiences,
    SignerEpoch,
    SignerGeneration,
    SignerGroup,
    SignerHsmAlgorithms,
    SignerLifetimeMax,
    SignerRoot,
    TrustedProxies,
}

impl Variable {
    /// The variables of the software signer, in reading order.
    pub const LOCAL: [Self; 11] = [
        Self::Development,
        Self::ForwardedHeader,
        Self::Issuer,
        Self::SignerAlgorithms,
        Self::SignerAudiences,
        Self::SignerEpoch,
        Self::SignerGeneration,
        Self::SignerGroup,
        Self::SignerLifetimeMax,
        Self::SignerRoot,
        Self::TrustedProxies,
    ];

    /// The variables of the signer with a gateway.
    pub const GATEWAY: [Self; 12] = [
        Self::Development,
        Self::ForwardedHeader,
        Self::GatewayToken,
        Self::GatewayUrls,
        Self::Issuer,
        Self::SignerAlgorithms,
        Self::SignerAudiences,
        Self::SignerEpoch,
        Self::SignerGroup,
        Self::SignerHsmAlgorithms,
        Self::SignerLifetimeMax,
        Self::TrustedProxies,
    ];

    /// Its name in `spin.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::ForwardedHeader => "forwarded_header",
            Self::GatewayToken => "gateway_token",
            Self::GatewayUrls => "gateway_urls",
            Self::Issuer => "issuer",
            Self::SignerAlgorithms => "signer_algorithms",
            Self::SignerAudiences => "signer_audiences",
            Self::SignerEpoch => "signer_epoch",
            Self::SignerGeneration => "signer_generation",
            Self::SignerGroup => "signer_group",
            Self::SignerHsmAlgorithms => "signer_hsm_algorithms",
            Self::SignerLifetimeMax => "signer_lifetime_max",
            Self::SignerRoot => "signer_root",
            Self::TrustedProxies => "trusted_proxies",
        }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("differs from the gateway's value")]
    DiffersFromGateway,
    #[error("is empty")]
    Empty,
    #[error("contains an illegal character")]
    Malformed,
    #[error("is missing")]
    Missing,
    #[error("was rejected by the gateway")]
    NotAccepted,
    #[error("is not base64url without padding")]
    NotBase64Url,
    #[error("is `true` but `issuer` is not on loopback")]
    NotLoopback,
    #[error("is not a whole number")]
    NotNumber,
    #[error("is neither `true` nor `false`")]
    NotTrueOrFalse,
    #[error("is not an https URL without query, fragment and user name")]
    NotHttpsUrl,
    #[error("is not between {min} and {max}")]
    OutOfRange { min: u64, max: u64 },
    #[error("contains a duplicate entry")]
    Repeated,
    #[error("does not have {min} to {max} bytes")]
    WrongLength { min: usize, max: usize },
    #[error("names an unknown algorithm")]
    UnknownAlgorithm,
}

/// A ceiling that a request exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ceiling {
    #[error("algorithm is not configured")]
    Algorithm,
    #[error("the audience is beyond `signer_audiences`")]
    Audience,
    #[error("audience is empty, too long or contains unprintable characters")]
    AudienceText,
    #[error("the gateway refused the request")]
    Gateway,
    #[error("an extra claim is not one strict JSON value")]
    ExtraClaimNotJson,
    #[error("an extra claim has a registered name, ignoring case")]
    ExtraClaimRegistered,
    #[error("duplicate extra claim, ignoring case")]
    ExtraClaimRepeated,
    #[error("the name of an extra claim is not 1 to 256 visible ASCII characters")]
    ExtraClaimName,
    #[error("an extra claim is too long")]
    ExtraClaimTooLong,
    #[error("too many extra claims")]
    ExtraClaimsTooMany,
    #[error("the response is no introspection response, or is too long")]
    Introspection,
    #[error("iat is too far from the signer's clock")]
    IssuedAt,
    #[error("issuer is not the signer's own")]
    Issuer,
    #[error("jti is empty, too long or contains unprintable characters")]
    Jti,
    #[error("the actors are over a limit")]
    Actors,
    #[error("the thumbprint of a key is not 32 bytes in base64url")]
    KeyThumbprint,
    #[error("lifetime is outside the signer's range")]
    Lifetime,
    #[error("the list of revocations is too long")]
    RevocationsTooLong,
    #[error("a scope is malformed or too long")]
    Scope,
    #[error("too many scopes")]
    ScopesTooMany,
    #[error("the status list has another name or index than ours, or the token is of a view")]
    Status,
    #[error("subject is empty, too long or contains unprintable characters")]
    Subject,
    #[error("txn is empty, too long or contains unprintable characters")]
    Txn,
}
