//! Entries of the gateway's file.

use serde::Deserialize;

/// `[[group]]`: one issuer's epoch keys and HSM keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupFile {
    pub name: String,
    pub issuer: String,
    pub algorithms: Vec<String>,
    pub epoch_seconds: u64,
}

/// `[[key]]`: an HSM key that signs single tokens, and what it may sign.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    pub name: String,
    pub group: String,
    pub algorithm: String,
    pub audiences: Vec<String>,
    pub lifetime_max: u64,
    #[serde(default)]
    pub claims: Vec<String>,
    pub requests_per_second: u64,
    pub requests_per_day: u64,
    /// Age of the active version from which there is a warning.
    #[serde(default = "age_days_max")]
    pub age_days_max: u64,
}

fn age_days_max() -> u64 {
    365
}

/// `[[credential]]`: a caller, identified by the hash of its credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialFile {
    pub name: String,
    pub sha256: String,
    pub groups: Vec<String>,
    /// SHA-256 of the client certificates that it is bound to; if empty, it is not bound.
    #[serde(default)]
    pub certificate_sha256: Vec<String>,
    /// Seed requests per minute.
    #[serde(default = "requests_per_minute")]
    pub seeds_per_minute: u64,
    /// Requests for public keys per minute.
    #[serde(default = "requests_per_minute")]
    pub keys_per_minute: u64,
}

/// The default rate of 200 per second. Under stock Spin an instance serves 128 requests or ends after one idle second, and
/// each instance requests the keys and one seed per algorithm. That allows 25,600 tokens per second if instances are
/// reused, and 200 if each serves one token.
fn requests_per_minute() -> u64 {
    12_000
}

/// `[[admin]]`: an admin, identified by the hash of its credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminFile {
    pub name: String,
    pub sha256: String,
    /// SHA-256 of the client certificates that it is bound to; if empty, it is not bound.
    #[serde(default)]
    pub certificate_sha256: Vec<String>,
}
