//! Checked entries of the gateway's file.

use std::collections::BTreeSet;

use subtle::{Choice, ConditionallySelectable as _};
use vouchsafe_signer::Algorithm;

use crate::credential::{CertificateDigest, CredentialDigest};
use crate::labels::KeyLabel;
use crate::refusal::Refusal;

/// Most key groups, and most keys and credentials.
pub(super) const ENTRIES_MAX: usize = 64;

/// An algorithm of HSM keys that sign tokens.
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
    /// INVARIANT: not empty, sorted, without duplicates.
    pub algorithms: Vec<Algorithm>,
    pub epoch_seconds: u64,
}

/// An HSM key and what it may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRule {
    pub name: String,
    pub group: String,
    pub algorithm: KeyAlgorithm,
    pub issuer: String,
    pub audiences: BTreeSet<String>,
    pub lifetime_seconds_max: u64,
    /// Claims besides those that every token has.
    pub claims: BTreeSet<String>,
    pub requests_per_second: u64,
    pub requests_per_day: u64,
    /// Age of the active version from which there is a warning.
    pub age_seconds_max: u64,
}

impl KeyRule {
    #[must_use]
    pub fn label_of(&self, version: u64) -> KeyLabel {
        KeyLabel::new(&self.name, version)
    }
}

#[derive(Debug)]
pub(super) struct Credential {
    pub(super) name: String,
    pub(super) digest: CredentialDigest,
    pub(super) certificates: Binding,
    pub(super) groups: BTreeSet<String>,
    pub(super) seeds_per_minute: u64,
    pub(super) keys_per_minute: u64,
}

/// The client certificates that a credential is bound to; if empty, it is not bound.
#[derive(Debug)]
pub(super) struct Binding(pub(super) Vec<CertificateDigest>);

impl Binding {
    pub(super) fn check(&self, certificate: Option<&CertificateDigest>) -> Result<(), Refusal> {
        let is_bound = |it| self.0.contains(it);
        match self.0.is_empty() || certificate.is_some_and(is_bound) {
            true => Ok(()),
            false => Err(Refusal::Certificate),
        }
    }
}

#[derive(Debug)]
pub(super) struct Admin {
    pub(super) name: String,
    pub(super) digest: CredentialDigest,
    pub(super) certificates: Binding,
}

/// An error in the gateway's file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("{entry} `{name}`: `{field}` {fault}")]
    Field { entry: &'static str, name: String, field: &'static str, fault: &'static str },
    #[error("missing [[{0}]]")]
    None(&'static str),
    #[error("more than {ENTRIES_MAX} [[{0}]]")]
    TooMany(&'static str),
}

/// The index of the digest of `presented` in `digests`. Compares all of them in constant time.
pub(super) fn place_of<'d>(presented: &str, digests: impl Iterator<Item = &'d CredentialDigest>) -> Option<usize> {
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
