//! Labels of keys on the PKCS#11 token (`CKA_LABEL`), by which the gateway finds its keys.

use std::fmt;

/// Label of the secret from which every seed is derived. Its `CKA_ID` contains the generation.
pub const ROOT_LABEL: &str = "vouchsafe:root";

/// Label of both halves of the key that certifies epoch keys.
pub const ROOT_SIGNING_LABEL: &str = "vouchsafe:root-signing";

/// Label of that key's certificate, which verifiers pin.
pub const ROOT_CERTIFICATE_LABEL: &str = "vouchsafe:root-certificate";

/// Prefix of the labels of keys that sign tokens.
pub const TOKEN_KEY_PREFIX: &str = "vouchsafe:token:";

/// The label of both halves of one version of a key that signs tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyLabel {
    name: String,
    version: u64,
}

impl KeyLabel {
    /// `name` comes from the checked configuration; `version` counts from 1.
    #[must_use]
    pub fn new(name: &str, version: u64) -> Self {
        Self { name: name.to_owned(), version }
    }

    /// Parses exactly what `Display` writes.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        let (name, version) = label.strip_prefix(TOKEN_KEY_PREFIX)?.rsplit_once(":v")?;
        let label_read = Self::new(name, version.parse().ok()?);
        (label_read.to_string() == label).then_some(label_read)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOKEN_KEY_PREFIX}{}:v{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_purpose_key_and_version() {
        assert_eq!(KeyLabel::new("deploy", 2).to_string(), "vouchsafe:token:deploy:v2");
    }

    #[test]
    fn reads_only_canonical_labels() {
        let label = KeyLabel::new("deploy", 2);
        assert_eq!(KeyLabel::parse("vouchsafe:token:deploy:v2"), Some(label));
        for other in
            ["vouchsafe:root", "vouchsafe:token:deploy", "vouchsafe:token:deploy:v02", "vouchsafe:token:deploy:v"]
        {
            assert_eq!(KeyLabel::parse(other), None, "{other}");
        }
    }
}
