//! SPIFFE IDs (SPIFFE-ID §2).

/// Longest SPIFFE ID, in bytes (SPIFFE-ID §2.3).
pub const SPIFFE_ID_BYTES_MAX: usize = 2048;
/// Longest name of a trust domain, in bytes (SPIFFE-ID §2.3).
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;

const SCHEME: &str = "spiffe://";

/// The SPIFFE ID of a workload: a trust domain and a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpiffeId<'t> {
    trust_domain: &'t str,
    path: &'t str,
}

impl<'t> SpiffeId<'t> {
    /// Parses a workload's ID. Nothing is normalized: noncanonical IDs are refused.
    ///
    /// # Errors
    /// The first rule that `text` breaks.
    pub fn parse(text: &'t str) -> Result<Self, SpiffeIdError> {
        if text.len() > SPIFFE_ID_BYTES_MAX {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (trust_domain, path) = rest.split_at(at);
        if !is_trust_domain(trust_domain) {
            return Err(SpiffeIdError::TrustDomain);
        }
        let Some(segments) = path.strip_prefix('/') else {
            return Err(SpiffeIdError::PathMissing);
        };
        if !segments.split('/').all(is_segment) {
            return Err(SpiffeIdError::Path);
        }
        Ok(Self { trust_domain, path })
    }

    /// The trust domain's name, without the scheme.
    #[must_use]
    pub fn trust_domain(self) -> &'t str {
        self.trust_domain
    }

    /// The path with its leading `/`.
    #[must_use]
    pub fn path(self) -> &'t str {
        self.path
    }

    /// The trust domain's own SPIFFE ID, which names an issuer.
    #[must_use]
    pub fn issuer(self) -> String {
        format!("{SCHEME}{}", self.trust_domain)
    }
}

/// Whether `name` is a valid trust domain: lowercase letters, digits, `.`, `-` and `_`.
#[must_use]
pub fn is_trust_domain(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    (1..=TRUST_DOMAIN_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

/// The trust domain that an issuer URL names, if any.
#[must_use]
pub fn trust_domain_of(issuer: &str) -> Option<&str> {
    issuer.strip_prefix(SCHEME).filter(|name| is_trust_domain(name))
}

fn is_segment(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
}

/// Why a text is not a workload's SPIFFE ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    #[error("a segment of the path is empty, `.` or `..`, or contains characters other than `a-zA-Z0-9.-_`")]
    Path,
    #[error("the ID names a trust domain, not a workload")]
    PathMissing,
    #[error("the ID does not start with `spiffe://`")]
    Scheme,
    #[error("the ID is longer than {SPIFFE_ID_BYTES_MAX} bytes")]
    TooLong,
    #[error("the trust domain contains characters other than `a-z0-9.-_`")]
    TrustDomain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_workload_ids() {
        let id = SpiffeId::parse("spiffe://example.org/ns/prod/sa/payments").unwrap();
        assert_eq!(id.trust_domain(), "example.org");
        assert_eq!(id.path(), "/ns/prod/sa/payments");
        assert_eq!(id.issuer(), "spiffe://example.org");
        for text in ["spiffe://a/b", "spiffe://1.2-3_4/A.b-C_d/..."] {
            assert!(SpiffeId::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn rejects_noncanonical_ids() {
        use SpiffeIdError::*;
        for (text, error) in [
            ("", Scheme),
            ("spiffe:/a/b", Scheme),
            ("SPIFFE://a/b", Scheme),
            ("https://a/b", Scheme),
            (" spiffe://a/b", Scheme),
            ("spiffe://", TrustDomain),
            ("spiffe:///b", TrustDomain),
            ("spiffe://A/b", TrustDomain),
            ("spiffe://a:443/b", TrustDomain),
            ("spiffe://user@a/b", TrustDomain),
            ("spiffe://ä/b", TrustDomain),
            ("spiffe://a%61/b", TrustDomain),
            ("spiffe://a?b", TrustDomain),
            ("spiffe://a", PathMissing),
            ("spiffe://a/", Path),
            ("spiffe://a/b/", Path),
            ("spiffe://a//b", Path),
            ("spiffe://a/./b", Path),
            ("spiffe://a/../b", Path),
            ("spiffe://a/b?c", Path),
            ("spiffe://a/b#c", Path),
            ("spiffe://a/b c", Path),
            ("spiffe://a/%62", Path),
            ("spiffe://a/ß", Path),
        ] {
            assert_eq!(SpiffeId::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn bounds_id_and_trust_domain_length() {
        let of = |domain: usize, path: usize| format!("spiffe://{}/{}", "a".repeat(domain), "b".repeat(path));
        let rest = SPIFFE_ID_BYTES_MAX - "spiffe://a/".len();
        assert!(SpiffeId::parse(&of(1, rest)).is_ok());
        assert_eq!(SpiffeId::parse(&of(1, rest + 1)), Err(SpiffeIdError::TooLong));
        assert!(SpiffeId::parse(&of(TRUST_DOMAIN_BYTES_MAX, 1)).is_ok());
        assert_eq!(SpiffeId::parse(&of(TRUST_DOMAIN_BYTES_MAX + 1, 1)), Err(SpiffeIdError::TrustDomain));
    }

    #[test]
    fn extracts_trust_domain_of_issuer() {
        assert_eq!(trust_domain_of("spiffe://example.org"), Some("example.org"));
        for issuer in ["spiffe://example.org/", "spiffe://", "https://example.org", "spiffe://a/b"] {
            assert_eq!(trust_domain_of(issuer), None, "{issuer}");
        }
    }
}
