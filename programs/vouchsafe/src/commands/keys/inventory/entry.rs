//! One key or credential of the inventory.

use crate::client::moment;
use vouchsafe_policy::{KeyOwner, KeyOwners};

/// Where a key is in its life, in the words of CycloneDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    PreActivation,
    Active,
    Deactivated,
    Destroyed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::PreActivation => "pre-activation",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Destroyed => "destroyed",
        }
    }
}

/// A key or credential. Times are Unix seconds, and absent if unknown.
#[derive(Clone, Debug)]
pub struct Entry {
    /// One of [`vouchsafe_policy::KEY_KINDS`].
    pub kind: &'static str,
    pub name: String,
    /// Such as a `kid`.
    pub id: Option<String>,
    pub algorithm: Option<String>,
    /// Where the secret is.
    pub custody: String,
    pub state: State,
    pub owner: Option<String>,
    pub criticality: Option<&'static str>,
    pub created: Option<u64>,
    pub activated: Option<u64>,
    pub expires: Option<u64>,
    pub used: Option<u64>,
    /// Subject and issuer of a certificate.
    pub certificate: Option<(String, String)>,
    pub warnings: Vec<String>,
}

/// From when there is a warning.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub old_seconds: u64,
    pub expiring_seconds: u64,
}

/// Kinds whose keys are derived from a root, whose owner they have unless the bundle says otherwise.
const DERIVED: [&str; 2] = ["epoch-key", "log-key"];

impl Entry {
    pub fn new(kind: &'static str, name: impl Into<String>, custody: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            id: None,
            algorithm: None,
            custody: custody.into(),
            state: State::Active,
            owner: None,
            criticality: None,
            created: None,
            activated: None,
            expires: None,
            used: None,
            certificate: None,
            warnings: Vec::new(),
        }
    }

    pub fn owner_in<'o>(&self, owners: &'o KeyOwners) -> Option<&'o KeyOwner> {
        let own = owners.of(self.kind, &self.name);
        own.or_else(|| DERIVED.contains(&self.kind).then(|| owners.of("root", &self.name))?)
    }

    /// Looks up the owner, and adds warnings.
    pub fn judge(&mut self, owners: &KeyOwners, limits: Limits, now: u64) {
        if let Some(KeyOwner { owner, criticality }) = self.owner_in(owners) {
            self.owner = Some(owner.clone());
            self.criticality = criticality.map(|it| it.name());
        }
        if matches!(self.state, State::Deactivated | State::Destroyed) {
            return;
        }
        if self.owner.is_none() {
            self.warnings.push(format!("nobody owns it: set `keys.{}.owner` in bundle.toml", self.kind));
        }
        let is_lasting = self.kind != "epoch-key";
        match self.expires {
            Some(at) if at <= now => self.warnings.push(format!("it expired at {}", moment::show(at))),
            Some(at) if is_lasting && at - now <= limits.expiring_seconds => {
                self.warnings.push(format!("it expires at {}", moment::show(at)));
            }
            _ => {}
        }
        let age = self.created.map_or(0, |created| now.saturating_sub(created));
        if is_lasting && self.expires.is_none() && age > limits.old_seconds {
            self.warnings.push(format!("it is {} days old", age / 86_400));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_policy::{Bundle, BundleFiles, Environment, folder};

    const NOW: u64 = 1_800_000_000;
    const LIMITS: Limits = Limits { old_seconds: 1000, expiring_seconds: 100 };

    fn warnings(kind: &'static str, change: impl Fn(&mut Entry)) -> Vec<String> {
        let mut entry = Entry::new(kind, "a", "");
        change(&mut entry);
        entry.judge(&KeyOwners::default(), LIMITS, NOW);
        entry.warnings
    }

    #[test]
    fn warns_of_old_expiring_and_unowned_keys() {
        let unowned = "nobody owns it: set `keys.root.owner` in bundle.toml".to_owned();
        assert_eq!(warnings("root", |it| it.created = Some(NOW - 1000)), std::slice::from_ref(&unowned));
        let old = [unowned.clone(), "it is 0 days old".to_owned()];
        assert_eq!(warnings("root", |it| it.created = Some(NOW - 1001)), old);
        assert_eq!(warnings("root", |it| it.expires = Some(NOW + 101)), std::slice::from_ref(&unowned));
        let soon = [unowned.clone(), "it expires at 2027-01-15T08:01:40Z".to_owned()];
        assert_eq!(warnings("root", |it| it.expires = Some(NOW + 100)), soon);
        let over = [unowned, "it expired at 2027-01-15T08:00:00Z".to_owned()];
        assert_eq!(warnings("root", |it| it.expires = Some(NOW)), over);
    }

    #[test]
    fn keys_at_their_end_need_no_owner() {
        for state in [State::Deactivated, State::Destroyed] {
            assert_eq!(warnings("hsm-key", |it| it.state = state), [""; 0]);
        }
        // Epoch keys are replaced without anybody's help.
        assert_eq!(warnings("epoch-key", |it| it.expires = Some(NOW + 1)).len(), 1);
    }

    #[test]
    fn derived_keys_have_the_owner_of_their_root() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
        let files = folder::read(std::path::Path::new(dir)).expect("reads");
        let manifest = "name = \"a\"\nversion = \"1\"\n[keys.root]\nowner = \"platform\"\ncriticality = \"critical\"\n";
        let mut owned = BundleFiles::default();
        for (path, content) in files.iter() {
            let content = if path == "bundle.toml" { manifest.as_bytes() } else { content };
            owned.add(path, content.to_vec()).expect("adds");
        }
        let environment =
            Environment { issuer: "https://broker.example".to_owned(), development: true, epoch_seconds: 3600 };
        let bundle = Bundle::load(&owned, &environment).expect("loads");
        for (kind, expected) in [("root", true), ("epoch-key", true), ("log-key", true), ("hsm-key", false)] {
            let mut entry = Entry::new(kind, "a", "");
            entry.judge(bundle.key_owners(), LIMITS, NOW);
            assert_eq!((entry.owner.is_some(), entry.criticality.is_some()), (expected, expected), "{kind}");
        }
    }
}
