//! `[keys]` of `bundle.toml`: who answers for each key. Takes no part in decisions.

use crate::diagnostics::BundleError;
use crate::diagnostics::spanned::Spanned;
use crate::limits::{KEY_OWNERS_MAX, NAME_BYTES_MAX};
use crate::settings::toml_file::TomlFile;
use std::collections::BTreeMap;

/// Kinds of keys and credentials that a broker and its gateways have.
pub const KEY_KINDS: [&str; 12] = [
    "admin-audience",
    "certificate",
    "client",
    "epoch-key",
    "gateway-admin",
    "gateway-credential",
    "hsm-key",
    "issuer-credential",
    "issuer-keys",
    "log-key",
    "root",
    "webhook-secret",
];

/// How bad it is if the key is lost or leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    Low,
    Medium,
    High,
    Critical,
}

impl Criticality {
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

#[derive(serde::Deserialize)]
#[cfg_attr(feature = "json-schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyEntry {
    /// A team or an address.
    owner: String,
    criticality: Option<Criticality>,
}

/// Who answers for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    pub owner: String,
    pub criticality: Option<Criticality>,
}

/// Owners by kind, or by kind and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyOwners(BTreeMap<String, KeyOwner>);

impl KeyOwners {
    pub(crate) fn read(file: &mut TomlFile<'_>, entries: BTreeMap<String, Spanned<KeyEntry>>) -> Self {
        let mut owners = BTreeMap::new();
        for (key, entry) in entries {
            if owners.len() >= KEY_OWNERS_MAX {
                file.refuse(entry.span(), BundleError::TooMany { key: "keys", max: KEY_OWNERS_MAX });
                break;
            }
            let (kind, name) = key.split_once('/').unwrap_or((&key, "all"));
            if name.is_empty() || !KEY_KINDS.contains(&kind) {
                let (key, known) = (key.clone(), KEY_KINDS.join("`, `"));
                file.refuse(entry.span(), BundleError::KeyKindUnknown { key, known });
            }
            file.check_value("owner", &entry.get_ref().owner, entry.span(), NAME_BYTES_MAX);
            let KeyEntry { owner, criticality } = entry.into_inner();
            owners.insert(key, KeyOwner { owner, criticality });
        }
        Self(owners)
    }

    /// The owner of the key `name`, or else that of all keys of this kind.
    pub fn of(&self, kind: &str, name: &str) -> Option<&KeyOwner> {
        self.0.get(&format!("{kind}/{name}")).or_else(|| self.0.get(kind))
    }
}
