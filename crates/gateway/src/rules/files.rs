//! The entries of the gateway's file, as they are written.

use serde::Deserialize;

/// `[[group]]`: one issuer's epoch keys, and who may use the HSM keys of the same name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupFile {
    pub name: String,
    pub issuer: String,
    pub algorithms: Vec<String>,
    pub epoch_seconds: u64,
}

/// `[[key]]`: a key in the HSM that signs tokens one by one, and what it may sign.
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
    /// How old the active version may be before its age is warned of.
    #[serde(default = "age_days_max")]
    pub age_days_max: u64,
}

fn age_days_max() -> u64 {
    365
}

/// `[[credential]]`: who calls, known by the hash of what it sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialFile {
    pub name: String,
    pub sha256: String,
    pub groups: Vec<String>,
    /// SHA-256 of the client certificates that it is good with; all, where none is named.
    #[serde(default)]
    pub certificate_sha256: Vec<String>,
    /// How many seeds it may ask for in a minute.
    #[serde(default = "requests_per_minute")]
    pub seeds_per_minute: u64,
    /// How often it may ask for the public keys in a minute.
    #[serde(default = "requests_per_minute")]
    pub keys_per_minute: u64,
}

/// 200 per second. Under stock Spin an instance serves 128 requests, or ends after one idle second, and each
/// instance asks for a seed per algorithm and for the keys: that is 25,600 tokens per second where instances are
/// reused, and 200 where each serves one token.
fn requests_per_minute() -> u64 {
    12_000
}

/// `[[admin]]`: who may change keys, known by the hash of what it sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminFile {
    pub name: String,
    pub sha256: String,
    /// SHA-256 of the client certificates that it is good with; all, where none is named.
    #[serde(default)]
    pub certificate_sha256: Vec<String>,
}
