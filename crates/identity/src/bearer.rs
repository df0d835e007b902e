//! The bearer token for issuers that require authorization to fetch their keys (RFC 6750 §2.1).

use std::fmt;

/// Longest accepted bearer token, in bytes.
pub const BEARER_BYTES_MAX: usize = 16 * 1024;

/// A bearer token: a secret, sent to the issuer only.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(String);

impl Bearer {
    /// `None` unless `text` is a `b64token` (RFC 6750 §2.1): anything else could not be sent unchanged, or could inject
    /// a header.
    #[must_use]
    pub fn parse(text: String) -> Option<Self> {
        let body = text.trim_end_matches('=');
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        let fits = !body.is_empty() && text.len() <= BEARER_BYTES_MAX;
        (fits && body.bytes().all(allowed)).then_some(Self(text))
    }

    /// The secret, for the `Authorization` header only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Bearer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_rfc_6750_tokens() {
        let longest = "a".repeat(BEARER_BYTES_MAX);
        for accepted in ["a", "eyJ.eyJ.s-_", "AZaz09-._~+/==", &longest] {
            assert!(Bearer::parse(accepted.to_owned()).is_some(), "{accepted}");
        }
        let too_long = "a".repeat(BEARER_BYTES_MAX + 1);
        for refused in ["", "=", "a b", "a=b", "a\r\nHost: evil", "a\n", "ä", &too_long] {
            assert!(Bearer::parse(refused.to_owned()).is_none(), "{refused}");
        }
    }

    #[test]
    fn redacts_token_in_debug() {
        let bearer = Bearer::parse("secret".to_owned()).unwrap();
        assert_eq!(format!("{bearer:?}"), "Bearer(…)");
    }
}
