//! What the gateway's file says of key groups, keys and credentials, checked as a whole.

mod admins;
mod checks;
mod size;

use std::collections::BTreeSet;

use serde::Deserialize;
use subtle::{Choice, ConditionallySelectable as _};
use vouchsafe_signer::Algorithm;

use crate::credential::{CertificateDigest, CredentialDigest};
use crate::labels::KeyLabel;
use crate::refusal::Refusal;
pub use admins::{AdminFile, Admins};

/// Most key groups, keys and credentials, each.
const ENTRIES_MAX: usize = 64;

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

/// An algorithm of keys in the HSM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    EdDsa,
    Es256,
    Rs256,
}

impl KeyAlgorithm {
    pub const ALL: [Self; 3] = [Self::EdDsa, Self::Es256, Self::Rs256];

    /// Its name in JWS (RFC 7518 §3.1, RFC 8037 §3.1).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// A key group: one issuer's epoch keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub issuer: String,
    /// INVARIANT: not empty, sorted, none twice.
    pub algorithms: Vec<Algorithm>,
    pub epoch_seconds: u64,
}

/// What one HSM key may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRule {
    pub name: String,
    pub group: String,
    pub algorithm: KeyAlgorithm,
    pub issuer: String,
    pub audiences: BTreeSet<String>,
    pub lifetime_seconds_max: u64,
    /// Claims beside the ones that every token has.
    pub claims: BTreeSet<String>,
    pub requests_per_second: u64,
    pub requests_per_day: u64,
    /// How old the active version may be before its age is warned of.
    pub age_seconds_max: u64,
}

impl KeyRule {
    #[must_use]
    pub fn label_of(&self, version: u64) -> KeyLabel {
        KeyLabel::new(&self.name, version)
    }
}

#[derive(Debug)]
struct Credential {
    name: String,
    digest: CredentialDigest,
    certificates: Binding,
    groups: BTreeSet<String>,
    seeds_per_minute: u64,
    keys_per_minute: u64,
}

/// The client certificates that a credential is bound to; without any it is good with each.
#[derive(Debug)]
struct Binding(Vec<CertificateDigest>);

impl Binding {
    fn check(&self, certificate: Option<&CertificateDigest>) -> Result<(), Refusal> {
        let is_bound = |it| self.0.contains(it);
        match self.0.is_empty() || certificate.is_some_and(is_bound) {
            true => Ok(()),
            false => Err(Refusal::Certificate),
        }
    }
}

/// Who calls. Only [`Rules::caller`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'r> {
    rules: &'r Rules,
    credential: &'r Credential,
}

/// All of it, consistent.
#[derive(Debug)]
pub struct Rules {
    groups: Vec<Group>,
    keys: Vec<KeyRule>,
    credentials: Vec<Credential>,
}

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("{entry} `{name}`: `{field}` {fault}")]
    Field {
        entry: &'static str,
        name: String,
        field: &'static str,
        fault: &'static str,
    },
    #[error("there is no [[{0}]]")]
    None(&'static str),
    #[error("more than {ENTRIES_MAX} [[{0}]]")]
    TooMany(&'static str),
}

impl Rules {
    /// Checks what the file says.
    ///
    /// # Errors
    /// The first thing that is wrong; a credential's hash is never repeated.
    pub fn new(
        groups: Vec<GroupFile>,
        keys: Vec<KeyFile>,
        credentials: Vec<CredentialFile>,
    ) -> Result<Self, RuleError> {
        for (entry, count) in [
            ("group", groups.len()),
            ("key", keys.len()),
            ("credential", credentials.len()),
        ] {
            if count > ENTRIES_MAX {
                return Err(RuleError::TooMany(entry));
            }
        }
        if groups.is_empty() {
            return Err(RuleError::None("group"));
        }
        if credentials.is_empty() {
            return Err(RuleError::None("credential"));
        }
        let mut rules = Self {
            groups: Vec::new(),
            keys: Vec::new(),
            credentials: Vec::new(),
        };
        for file in groups {
            let group = rules.group_of(file)?;
            rules.groups.push(group);
        }
        for file in keys {
            let key = rules.key_of(file)?;
            rules.keys.push(key);
        }
        for file in credentials {
            let credential = rules.credential_of(file)?;
            rules.credentials.push(credential);
        }
        rules.check_sizes()?;
        Ok(rules)
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &KeyRule> {
        self.keys.iter()
    }

    /// Whose credential `presented` is, over a connection with this client certificate. Every credential is
    /// compared, in a time that depends on neither.
    ///
    /// # Errors
    /// [`Refusal::Credential`]; [`Refusal::Certificate`] where it is bound to another certificate.
    pub fn caller(
        &self,
        presented: &str,
        certificate: Option<&CertificateDigest>,
    ) -> Result<Caller<'_>, Refusal> {
        let digests = self.credentials.iter().map(|it| &it.digest);
        let credential = place_of(presented, digests).and_then(|it| self.credentials.get(it));
        let credential = credential.ok_or(Refusal::Credential)?;
        credential.certificates.check(certificate)?;
        Ok(Caller {
            rules: self,
            credential,
        })
    }

    /// Whether a credential is bound to client certificates.
    #[must_use]
    pub fn has_bindings(&self) -> bool {
        let mut credentials = self.credentials.iter();
        credentials.any(|it| !it.certificates.0.is_empty())
    }

    fn has_credential(&self, digest: &CredentialDigest) -> bool {
        self.credentials.iter().any(|it| it.digest == *digest)
    }
}

/// Which of `digests` is that of `presented`. Every one is compared, in a time that depends on none.
fn place_of<'d>(
    presented: &str,
    digests: impl Iterator<Item = &'d CredentialDigest>,
) -> Option<usize> {
    let presented = CredentialDigest::of(presented)?;
    let mut found = Choice::from(0);
    let mut place = 0_u64;
    for (index, digest) in (0_u64..).zip(digests) {
        let same = digest.matches(&presented);
        place.conditional_assign(&index, same);
        found |= same;
    }
    let place = usize::try_from(place).ok();
    place.filter(|_| bool::from(found))
}

impl<'r> Caller<'r> {
    /// The credential's name, for the log.
    #[must_use]
    pub fn name(self) -> &'r str {
        &self.credential.name
    }

    pub(crate) fn seeds_per_minute(self) -> u64 {
        self.credential.seeds_per_minute
    }

    pub(crate) fn keys_per_minute(self) -> u64 {
        self.credential.keys_per_minute
    }

    /// The group `name`, if this caller may use it.
    ///
    /// # Errors
    /// [`Refusal::Group`].
    pub fn group(self, name: &str) -> Result<&'r Group, Refusal> {
        self.groups()
            .find(|group| group.name == name)
            .ok_or(Refusal::Group)
    }

    /// The key `name`, if this caller may use it.
    ///
    /// # Errors
    /// [`Refusal::Key`].
    pub fn key(self, name: &str) -> Result<&'r KeyRule, Refusal> {
        self.rules
            .keys()
            .find(|key| key.name == name && self.credential.groups.contains(&key.group))
            .ok_or(Refusal::Key)
    }

    /// Every group that this caller may use.
    pub fn groups(self) -> impl Iterator<Item = &'r Group> {
        self.rules
            .groups()
            .filter(move |group| self.credential.groups.contains(&group.name))
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
pub(crate) mod tests;
