//! Trusted issuers and their keys.

use crate::workload::ClaimType;

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// OpenID Connect Discovery 1.0 §4.
    Discovery,
    /// A JWK Set at this URL, without discovery.
    JwksUri(String),
    /// A JWK Set that is part of the bundle.
    Pinned(PinnedKeys),
}

/// Keys that are part of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKeys {
    /// A JWK Set (RFC 7517 §5).
    pub document: String,
    /// First moment at which the keys are no longer trusted.
    pub expires: u64,
}

/// How often one subject token may be exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayMode {
    /// Until it expires.
    Allow,
    /// This many times, 2 or more.
    Bounded(u32),
    SingleUse,
}

/// A claim that an issuer file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredClaim {
    pub name: String,
    pub claim_type: ClaimType,
    /// Whether a token without the claim is rejected; otherwise the attribute is absent.
    pub required: bool,
}

/// A claim that must have one of these values in every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredClaim {
    /// `sub`, or the name of a text attribute.
    pub name: String,
    pub values: Vec<String>,
}

/// An issuer file, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerRecord {
    /// The file's name without `.toml`.
    pub name: String,
    /// The exact `iss` value.
    pub issuer: String,
    pub provider: String,
    /// Accepted `aud` values; never empty.
    pub audiences: Vec<String>,
    /// Accepted JWS algorithms; never empty.
    pub algorithms: Vec<String>,
    pub keys: KeySource,
    pub keys_max_age_seconds: u64,
    /// How long keys may be used past that while the issuer is unreachable; 0 disables it.
    pub stale_keys_max_seconds: u64,
    pub max_token_age_seconds: u64,
    pub leeway_seconds: u64,
    pub replay: ReplayMode,
    /// Typed claims of an `oidc` issuer; empty for the other providers.
    pub claims: Vec<DeclaredClaim>,
    pub require: Vec<RequiredClaim>,
    pub subject_template: Option<String>,
    /// Whether tokens with `act` or `may_act` (RFC 8693 §4) are accepted.
    pub allow_act: bool,
    pub development: bool,
    /// Whether fetching the keys takes a credential.
    pub authenticated: bool,
}

impl IssuerRecord {
    /// Whether the keys are part of the bundle, so that nothing is ever fetched.
    #[must_use]
    pub const fn has_pinned_keys(&self) -> bool {
        matches!(self.keys, KeySource::Pinned(_))
    }
}

/// A fetched JWK Set that passed every structural check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// Lowercase hex SHA-256 of `document`.
    pub digest: String,
    pub document: String,
    /// First moment at which the keys are no longer trusted.
    pub trusted_until: u64,
    /// The URL that served the document, a space, and its entity tag: a tag says nothing about another URL
    /// (RFC 9110 §8.8.3).
    pub etag: Option<String>,
}

/// Why no connection came about, as far as the host says, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreachableCause {
    #[error("address in a blocked network (`block_networks`)")]
    AddressBlocked,
    /// Expired, from an unknown authority, or for another host.
    #[error("the certificate is not trusted")]
    CertificateRejected,
    #[error("connection closed")]
    ConnectionClosed,
    #[error("connection failed")]
    ConnectionFailed,
    #[error("connection refused")]
    ConnectionRefused,
    #[error("DNS lookup failed")]
    NameUnknown,
    #[error("not in the manifest's `allowed_outbound_hosts`")]
    NotAllowed,
    /// The host's own words.
    #[error("{0}")]
    Other(String),
    #[error("TLS failed or the certificate is not trusted")]
    TlsFailed,
}

/// A server to which no connection came about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {cause}")]
pub struct Unreachable {
    /// Scheme, host and port: the issuer's, or those of the keys' URL in its discovery document.
    pub origin: String,
    pub cause: UnreachableCause,
}

/// Why an issuer's keys could not be fetched, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("the credential is not a bearer token")]
    CredentialInvalid,
    #[error("invalid document: {0}")]
    DocumentInvalid(String),
    #[error("the discovery document names another issuer")]
    IssuerMismatch,
    #[error("the pinned keys have expired")]
    PinnedKeysExpired,
    #[error("the issuer responded with status {0}")]
    Status(u16),
    #[error("the issuer did not respond in time")]
    TimedOut,
    #[error("the document is too large")]
    TooLarge,
    #[error("{0}")]
    Unreachable(Unreachable),
    #[error("the URL must not be fetched")]
    UrlRefused,
}
