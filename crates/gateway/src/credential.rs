//! Bearer credentials (RFC 6750 §2.1). The gateway keeps a hash of each, never the secret.
//!
//! A plain hash is enough, because credentials are 32 random bytes that nobody can guess.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Random bytes of a credential, which is sent as base64url without padding.
pub const CREDENTIAL_BYTES: usize = 32;

/// The SHA-256 digest of a credential as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialDigest([u8; 32]);

impl fmt::Debug for CredentialDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialDigest(..)")
    }
}

impl fmt::Display for CredentialDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl CredentialDigest {
    /// The digest of `credential`, or `None` if it is malformed.
    #[must_use]
    pub fn of(credential: &str) -> Option<Self> {
        let decoded = URL_SAFE_NO_PAD.decode(credential).ok()?;
        let digest = Self(Sha256::digest(credential.as_bytes()).into());
        (decoded.len() == CREDENTIAL_BYTES).then_some(digest)
    }

    /// Parses 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_sha256(text).map(Self)
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// The SHA-256 digest of a client certificate (its thumbprint in RFC 8705 §3.1). Certificates are public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateDigest([u8; 32]);

impl CertificateDigest {
    /// The digest of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// Parses 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_sha256(text).map(Self)
    }
}

/// Parses 64 lower-case hexadecimal digits.
fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    let decoded = base16ct::lower::decode(text, &mut digest).ok()?;
    (decoded.len() == 32).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_32_bytes_of_base64url() {
        for (credential, expected) in [
            (URL_SAFE_NO_PAD.encode([7; 32]), true),
            (URL_SAFE_NO_PAD.encode([7; 31]), false),
            (URL_SAFE_NO_PAD.encode([7; 33]), false),
            (format!("{}=", URL_SAFE_NO_PAD.encode([7; 32])), false),
            (String::new(), false),
        ] {
            assert_eq!(CredentialDigest::of(&credential).is_some(), expected, "{credential}");
        }
    }

    #[test]
    fn reads_what_it_writes_and_no_other_spelling() {
        let digest = CredentialDigest::of(&URL_SAFE_NO_PAD.encode([7; 32])).unwrap();
        let text = digest.to_string();
        assert_eq!(CredentialDigest::parse(&text), Some(digest));
        for wrong in [text.to_uppercase(), format!("{text}0"), text.replacen(|_| true, "+", 1), String::new()] {
            assert_eq!(CredentialDigest::parse(&wrong), None, "{wrong}");
        }
    }
}
