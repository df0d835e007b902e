//! Admins, who may change keys.

use super::callers::Rules;
use super::checks;
use super::entries::{Admin, ENTRIES_MAX, RuleError, place_of};
use super::files::AdminFile;
use crate::credential::CertificateDigest;
use crate::refusal::Refusal;

/// The admins, who may change keys. No admin is a caller of [`Rules`].
#[derive(Debug)]
pub struct Admins(Vec<Admin>);

impl Admins {
    /// Checks the entries of the file.
    ///
    /// # Errors
    /// The first error in the file.
    pub fn new(files: Vec<AdminFile>, rules: &Rules) -> Result<Self, RuleError> {
        if files.len() > ENTRIES_MAX {
            return Err(RuleError::TooMany("admin"));
        }
        let mut admins = Self(Vec::new());
        for file in files {
            let is_known = |digest: &_| rules.has_credential(digest);
            let admin = checks::admin(file, &admins.0, is_known)?;
            admins.0.push(admin);
        }
        Ok(admins)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|it| it.name.as_str())
    }

    /// Whether the credential of any admin is bound to client certificates.
    #[must_use]
    pub fn have_bindings(&self) -> bool {
        self.0.iter().any(|it| !it.certificates.0.is_empty())
    }

    /// The name of the admin with the credential `presented` on a connection with this client certificate.
    ///
    /// # Errors
    /// [`Refusal::Credential`]; [`Refusal::Certificate`] if the credential is bound to another certificate.
    pub fn caller(&self, presented: &str, certificate: Option<&CertificateDigest>) -> Result<&str, Refusal> {
        let digests = self.0.iter().map(|it| &it.digest);
        let admin = place_of(presented, digests).and_then(|it| self.0.get(it));
        let admin = admin.ok_or(Refusal::Credential)?;
        admin.certificates.check(certificate)?;
        Ok(&admin.name)
    }
}
