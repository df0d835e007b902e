//! Callers, and the groups and keys that each may use.

use super::checks;
use super::entries::{Credential, ENTRIES_MAX, Group, KeyRule, RuleError, place_of};
use super::files::{CredentialFile, GroupFile, KeyFile};
use crate::credential::{CertificateDigest, CredentialDigest};
use crate::refusal::Refusal;

/// An authenticated caller. Only [`Rules::caller`] creates one.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'r> {
    rules: &'r Rules,
    credential: &'r Credential,
}

/// Key groups, keys and credentials, checked together.
///
/// ```
/// use vouchsafe_gateway::{CredentialFile, GroupFile, Refusal, Rules};
///
/// let group = GroupFile {
///     name: "default".to_owned(),
///     issuer: "https://broker.example".to_owned(),
///     algorithms: vec!["ES256".to_owned()],
///     epoch_seconds: 3600,
/// };
/// let credential = CredentialFile {
///     name: "broker".to_owned(),
///     sha256: "00".repeat(32),
///     groups: vec!["default".to_owned()],
///     certificate_sha256: vec![],
///     seeds_per_minute: 60,
///     keys_per_minute: 60,
/// };
/// let rules = Rules::new(vec![group], vec![], vec![credential]).unwrap();
/// assert_eq!(rules.caller("a guess", None).err(), Some(Refusal::Credential));
/// ```
#[derive(Debug)]
pub struct Rules {
    groups: Vec<Group>,
    keys: Vec<KeyRule>,
    credentials: Vec<Credential>,
}

impl Rules {
    /// Checks the entries of the file.
    ///
    /// # Errors
    /// The first error in the file. It never contains the hash of a credential.
    pub fn new(
        groups: Vec<GroupFile>,
        keys: Vec<KeyFile>,
        credentials: Vec<CredentialFile>,
    ) -> Result<Self, RuleError> {
        for (entry, count) in [("group", groups.len()), ("key", keys.len()), ("credential", credentials.len())] {
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
        let mut rules = Self { groups: Vec::new(), keys: Vec::new(), credentials: Vec::new() };
        for file in groups {
            let group = checks::group(file, &rules.groups)?;
            rules.groups.push(group);
        }
        for file in keys {
            let key = checks::key(file, &rules.groups, &rules.keys)?;
            rules.keys.push(key);
        }
        for file in credentials {
            let credential = checks::credential(file, &rules.groups, &rules.credentials)?;
            rules.credentials.push(credential);
        }
        checks::sizes(&rules.groups, &rules.keys, &rules.credentials)?;
        Ok(rules)
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter()
    }

    pub fn keys(&self) -> impl Iterator<Item = &KeyRule> {
        self.keys.iter()
    }

    /// The caller with the credential `presented` on a connection with this client certificate. Compares every credential
    /// in constant time.
    ///
    /// # Errors
    /// [`Refusal::Credential`]; [`Refusal::Certificate`] if the credential is bound to another certificate.
    pub fn caller(&self, presented: &str, certificate: Option<&CertificateDigest>) -> Result<Caller<'_>, Refusal> {
        let digests = self.credentials.iter().map(|it| &it.digest);
        let credential = place_of(presented, digests).and_then(|it| self.credentials.get(it));
        let credential = credential.ok_or(Refusal::Credential)?;
        credential.certificates.check(certificate)?;
        Ok(Caller { rules: self, credential })
    }

    /// The names of all credentials.
    pub fn credential_names(&self) -> impl Iterator<Item = &str> {
        self.credentials.iter().map(|it| it.name.as_str())
    }

    /// Whether any credential is bound to client certificates.
    #[must_use]
    pub fn has_bindings(&self) -> bool {
        let mut credentials = self.credentials.iter();
        credentials.any(|it| !it.certificates.0.is_empty())
    }

    pub(super) fn has_credential(&self, digest: &CredentialDigest) -> bool {
        self.credentials.iter().any(|it| it.digest == *digest)
    }
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

    /// The key group `name`, if this caller may use it.
    ///
    /// # Errors
    /// [`Refusal::Group`].
    pub fn group(self, name: &str) -> Result<&'r Group, Refusal> {
        self.groups().find(|group| group.name == name).ok_or(Refusal::Group)
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

    /// Every key group that this caller may use.
    pub fn groups(self) -> impl Iterator<Item = &'r Group> {
        self.rules.groups().filter(move |group| self.credential.groups.contains(&group.name))
    }
}
