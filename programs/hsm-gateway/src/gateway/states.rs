//! The versions of the keys that sign JWTs, with their states, as read from the token at one moment.

use super::possession::find_unproven;
use super::published_key::PublishedKey;
use crate::pkcs11::protocol::{Bytes, Inventory};
use crate::pkcs11::{Hsm, HsmError, check_key, inspect, key_versions};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vouchsafe_cli::Failure;
use vouchsafe_gateway::versions::KeyVersions;
use vouchsafe_gateway::{KeyRule, Rules, TOKEN_KEY_PREFIX};

/// All versions of all keys.
pub struct States {
    content: Arc<Content>,
    read_at: Instant,
}

struct Content {
    /// By name of the key.
    keys: BTreeMap<String, KeyVersions>,
    /// INVARIANT: contains every published version with which the token has signed, and no other.
    published: Vec<PublishedKey>,
    /// Label and `CKA_ID` of every private key, sorted: if these are unchanged, so is everything else.
    ids: Vec<(String, Bytes)>,
}

impl States {
    /// Reads the states when the gateway starts.
    pub(super) async fn first(rules: &Rules, hsm: &Arc<Hsm>) -> Result<(Inventory, Self), Failure> {
        let read_at = Instant::now();
        let inventory = inspect(hsm).await?;
        let mut states = Self::from_inventory(rules, &inventory, read_at)?;
        states.drop_unproven(&Self::none(), hsm, rules).await?;
        Ok((inventory, states))
    }

    pub(super) fn from_inventory(rules: &Rules, inventory: &Inventory, read_at: Instant) -> Result<Self, Failure> {
        let mut keys = BTreeMap::new();
        let mut published = Vec::new();
        for rule in rules.keys() {
            let versions = key_versions(inventory, rule)?;
            for version in versions.published() {
                let (jwk, verifier) = check_key(inventory, rule, version)?;
                published.push(PublishedKey {
                    name: rule.name.clone(),
                    version,
                    label: rule.label_of(version).to_string(),
                    jwk,
                    verifier,
                });
            }
            keys.insert(rule.name.clone(), versions);
        }
        let mut ids: Vec<_> = inventory
            .keys
            .iter()
            .filter(|key| !key.secret && key.label.starts_with(TOKEN_KEY_PREFIX))
            .map(|key| (key.label.clone(), key.id.clone()))
            .collect();
        ids.sort_by(|a, b| (&a.0, a.1.0.as_slice()).cmp(&(&b.0, b.1.0.as_slice())));
        let content = Arc::new(Content { keys, published, ids });
        Ok(Self { content, read_at })
    }

    /// The states before the token is read.
    pub fn none() -> Self {
        let content = Arc::new(Content { keys: BTreeMap::new(), published: Vec::new(), ids: Vec::new() });
        let read_at = Instant::now();
        Self { content, read_at }
    }

    /// The same states, confirmed at `read_at`.
    pub(super) fn confirmed(&self, read_at: Instant) -> Self {
        let content = Arc::clone(&self.content);
        Self { content, read_at }
    }

    /// Requires that every published version is still the same key in `next`.
    pub(super) fn require_same_keys(&self, next: &Self) -> Result<(), Failure> {
        for key in &self.content.published {
            let mut others = next.content.published.iter();
            if others.any(|it| it.label == key.label && it.jwk.kid() != key.jwk.kid()) {
                return Err(replaced(&key.label));
            }
        }
        Ok(())
    }

    /// Drops published versions that are new since `known` and with which the token can't sign.
    pub(super) async fn drop_unproven(&mut self, known: &Self, hsm: &Arc<Hsm>, rules: &Rules) -> Result<(), HsmError> {
        let is_known = |key: &&PublishedKey| {
            let mut keys = known.content.published.iter();
            keys.any(|it| it.label == key.label && it.jwk.kid() == key.jwk.kid())
        };
        let new = self.content.published.iter().filter(|key| !is_known(key));
        let unproven = find_unproven(hsm, rules, new).await?;
        // Not shared yet if something is new.
        if let Some(content) = Arc::get_mut(&mut self.content) {
            content.published.retain(|key| !unproven.contains(&key.label));
        }
        Ok(())
    }

    pub(super) fn age(&self) -> Duration {
        self.read_at.elapsed()
    }

    /// Label and `CKA_ID` of every private key, sorted.
    pub(super) fn ids(&self) -> &[(String, Bytes)] {
        &self.content.ids
    }

    /// The `CKA_ID` of a version.
    pub fn id(&self, rule: &KeyRule, version: u64) -> Option<&Bytes> {
        let label = rule.label_of(version).to_string();
        let mut ids = self.content.ids.iter();
        ids.find(|(it, _)| *it == label).map(|(_, id)| id)
    }

    /// Names of keys, with versions that the token has more than once.
    pub(super) fn duplicates(&self) -> impl Iterator<Item = (&str, u64)> {
        let keys = self.keys();
        keys.flat_map(|(name, versions)| versions.doubled().map(move |it| (name, it)))
    }

    pub fn keys(&self) -> impl Iterator<Item = (&str, &KeyVersions)> {
        let keys = self.content.keys.iter();
        keys.map(|(name, versions)| (name.as_str(), versions))
    }

    pub fn versions(&self, rule: &KeyRule) -> Option<&KeyVersions> {
        self.content.keys.get(&rule.name)
    }

    /// Published versions of a key, by number.
    pub fn published(&self, rule: &KeyRule) -> impl Iterator<Item = &PublishedKey> {
        let keys = self.content.published.iter();
        keys.filter(|key| key.name == rule.name)
    }

    pub fn published_version(&self, rule: &KeyRule, version: u64) -> Option<&PublishedKey> {
        self.published(rule).find(|key| key.version == version)
    }
}

/// A version is another key than before.
fn replaced(label: &str) -> Failure {
    Failure::refused(format!(
        "`{label}` is another key than before, unknown to verifiers: another PKCS#11 token is in place of this gateway's"
    ))
    .hint("reconnect the original PKCS#11 token, or restart the gateway if verifiers know the keys of the new one")
}
