//! The names of keys on the token (`CKA_LABEL`). They are what the gateway finds its keys by.

use std::fmt;

/// The secret that every seed is derived from. Its `CKA_ID` is the generation, a u64, big-endian.
pub const ROOT_LABEL: &str = "vouchsafe:root";

/// Both halves of the key that certifies epoch keys.
pub const ROOT_SIGNING_LABEL: &str = "vouchsafe:root-signing";

/// The certificate of that key, which verifiers pin.
pub const ROOT_CERTIFICATE_LABEL: &str = "vouchsafe:root-certificate";

/// Both halves of one version of a key that signs tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyLabel {
    name: String,
    version: u64,
}

impl KeyLabel {
    /// `name` as in the configuration, which has checked it; `version` counts from 1.
    #[must_use]
    pub fn new(name: &str, version: u64) -> Self {
        Self {
            name: name.to_owned(),
            version,
        }
    }
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vouchsafe:token:{}:v{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_purpose_key_and_version() {
        assert_eq!(
            KeyLabel::new("deploy", 2).to_string(),
            "vouchsafe:token:deploy:v2"
        );
    }
}
