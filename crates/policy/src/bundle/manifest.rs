//! `bundle.toml`: name, version, time zones, the brokers that use the bundle, and owners of keys.

use crate::bundle::files::{BundleFiles, MANIFEST_FILE};
use crate::diagnostics::spanned::Spanned;
use crate::diagnostics::{BundleError, Diagnostic};
use crate::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};
use crate::settings::key_owners::{KeyEntry, KeyOwners};
use crate::settings::toml_file::TomlFile;
use crate::settings::zones::Zones;
use std::collections::BTreeMap;
use vouchsafe_providers::is_unprintable;

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    name: String,
    version: String,
    /// Time zones by the name that policies use.
    #[serde(default)]
    zones: BTreeMap<String, Spanned<String>>,
    /// The issuer URL of each profile's broker, by the name of the profile.
    #[serde(default)]
    profiles: BTreeMap<String, Spanned<String>>,
    /// Whether a proof of possession counts only with a nonce of the broker (RFC 9449 §8).
    #[serde(default)]
    proof_nonce_required: bool,
    /// Who answers for keys, by kind, or by kind and name as in `hsm-key/deploy`.
    #[serde(default)]
    keys: BTreeMap<String, Spanned<KeyEntry>>,
}

/// The content of `bundle.toml`.
pub(crate) struct Manifest {
    pub name: String,
    pub version: String,
    pub zones: Zones,
    /// The issuer URL of a broker by the name of its profile.
    pub profiles: BTreeMap<String, String>,
    /// Whether a proof of possession counts only with a nonce of the broker.
    pub proof_nonce_required: bool,
    pub key_owners: KeyOwners,
}

impl Manifest {
    /// Reads and checks the file.
    pub fn read(files: &BundleFiles) -> Result<Self, Vec<Diagnostic>> {
        let missing = || vec![Diagnostic::of_file(MANIFEST_FILE, BundleError::FileMissing)];
        let content = files.content(MANIFEST_FILE).ok_or_else(missing)?;
        let (mut file, entries): (_, BundleFile) =
            TomlFile::parse(MANIFEST_FILE, content).map_err(|diagnostic| vec![diagnostic])?;
        for (key, value) in [("name", &entries.name), ("version", &entries.version)] {
            if value.is_empty() {
                file.refuse(file.span_of(&[key]), BundleError::Empty(key));
            }
            if value.len() > NAME_BYTES_MAX || value.chars().any(is_unprintable) {
                let bytes_max = NAME_BYTES_MAX;
                let error = BundleError::ValueInvalid { key, bytes_max };
                file.refuse(file.span_of(&[key]), error);
            }
        }
        let zones = Zones::read(&mut file, &entries.zones);
        for url in entries.profiles.values() {
            file.check_value("profiles", url.get_ref(), url.span(), ID_BYTES_MAX);
        }
        let key_owners = KeyOwners::read(&mut file, entries.keys);
        let profiles = entries.profiles.into_iter();
        let profiles = profiles.map(|(name, url)| (name, url.into_inner())).collect();
        file.finish(Self {
            name: entries.name,
            version: entries.version,
            zones,
            profiles,
            proof_nonce_required: entries.proof_nonce_required,
            key_owners,
        })
    }

    /// The profile of the broker whose issuer URL is `issuer`.
    pub fn profile_of(&self, issuer: &str) -> Option<&str> {
        let issuer = issuer.trim_end_matches('/');
        let mut profiles = self.profiles.iter();
        let (name, _) = profiles.find(|(_, url)| url.trim_end_matches('/') == issuer)?;
        Some(name)
    }
}
