//! What the signer is asked for, and what it returns.

use crate::policy::Tier;
use crate::status::StatusReference;
use crate::view::View;
use crate::wit_enum::wit_enum;
use crate::workload::Actor;

/// The parts of the signer's configuration that the broker needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerSettings {
    /// The broker's issuer URL: `iss` of every issued token.
    pub issuer: String,
    /// True only for an issuer on loopback.
    pub development: bool,
    pub epoch_seconds: u64,
    pub algorithms: Vec<String>,
    /// URLs of the signer's backend. No issuer document is fetched from there.
    pub backend_urls: Vec<String>,
    /// Warnings for the operator about disabled ceilings.
    pub warnings: Vec<String>,
    /// The variable `trusted_proxies`, unparsed. The signer is the only component that can read variables, since one
    /// that reads any of them can read `signer_root` too.
    pub trusted_proxies: String,
    /// The variable `forwarded_header`, unparsed.
    pub forwarded_header: String,
    /// The key group: generations count within it.
    pub group: String,
    /// Identifies the root of the keys without revealing anything about it; none if the root is in an HSM.
    pub root_fingerprint: Option<String>,
}

/// The state of a signer's backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendStatus {
    /// The current generation of epoch keys.
    pub generation: u64,
    /// How long signing can continue without the HSM.
    pub seconds_left: u64,
    /// How many gateways are configured.
    pub gateways: u32,
    /// How many of them have the signer's keys.
    pub gateways_up: u32,
}

/// Keys of a generation that an emergency rotation replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("generation {generation} of the signer is below {latest}, which this database has seen")]
pub struct Superseded {
    /// The generation of the signer's keys.
    pub generation: u64,
    /// The highest generation that the store has recorded.
    pub latest: u64,
}

/// A JWK Set (RFC 7517 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeySet {
    pub document: String,
    /// How long a verifier may cache it.
    pub max_age_seconds: u64,
}

wit_enum! {
    /// The issued token's `typ`.
    pub enum TokenType {
        /// `at+jwt` (RFC 9068 §2.1).
        AccessToken,
        /// `JWT`.
        Jwt,
    }
}

/// A claim that the signer does not write itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraClaim {
    pub name: String,
    /// One JSON value.
    pub value: String,
}

/// The workload that a token is for, as it identified itself to the broker. Not part of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresentedIdentity {
    /// The issuer of the workload's own token.
    pub issuer: String,
    /// Its immutable id there.
    pub principal: String,
}

/// Typed claims: the signer builds header and payload itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningRequest {
    /// The broker's own issuer URL.
    pub issuer: String,
    /// Selects the token's `iss`.
    pub view: Option<View>,
    pub subject: String,
    pub audience: String,
    pub tier: Tier,
    pub algorithm: String,
    pub token_type: TokenType,
    pub issued_at: u64,
    pub lifetime_seconds: u64,
    /// The decision id.
    pub jti: String,
    pub scopes: Vec<String>,
    pub extra_claims: Vec<ExtraClaim>,
    /// `cnf.jkt` (RFC 9449 §6.1): binds the token to a key.
    pub key_thumbprint: Option<String>,
    /// `act` (RFC 8693 §4.1): the current actor first, then those before.
    pub actors: Vec<Actor>,
    /// `txn` (RFC 8417 §2.2).
    pub txn: Option<String>,
    /// `status` (draft-ietf-oauth-status-list).
    pub status: Option<StatusReference>,
    /// Selects the rollout share; without it, no share applies.
    pub presented: Option<PresentedIdentity>,
}

/// A signed token. Its text is a credential, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedToken {
    /// Compact serialization (RFC 7515 §3.1).
    pub jwt: String,
    pub kid: String,
    /// Version of the key that signed: for an epoch key, the start of its epoch.
    pub key_version: String,
    /// The generation of the epoch key that signed; none for a key of tier `hsm`.
    pub generation: Option<u64>,
    pub expires_at: u64,
}

/// A token that this broker issued and has verified. Says nothing of revocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// `iss`: the broker's issuer URL, or that of a view.
    pub issuer: String,
    pub token_type: TokenType,
    /// `sub`: `<issuer name>:<subject>`.
    pub subject: String,
    pub audience: String,
    pub client_id: String,
    pub scopes: Vec<String>,
    /// The decision id.
    pub jti: String,
    pub issued_at: u64,
    pub expires_at: u64,
    /// `cnf.jkt` (RFC 9449 §6.1): the key that the token is bound to.
    pub key_thumbprint: Option<String>,
    /// `act` (RFC 8693 §4.1): the current actor first, then those before.
    pub actors: Vec<Actor>,
}

/// Why the signer did not sign. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    #[error("the signer failed")]
    Internal,
    #[error("{0}")]
    Misconfigured(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Superseded(Superseded),
    #[error("the signer has no HSM")]
    TierUnavailable,
    #[error("the signing backend is unavailable: {0}")]
    Unavailable(String),
}
