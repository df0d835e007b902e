//! The issuer URL's shape (RFC 8414 §2: https, no query, no fragment).

use vouchsafe_url::{HostCase, Origin};

use crate::error::Fault;

/// Longest issuer URL.
pub(crate) const ISSUER_BYTES_MAX: usize = 512;

/// The issuer URL as written. It is compared byte for byte and never normalized: with a trailing slash it is another
/// issuer (RFC 8414 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Issuer {
    url: String,
    https: bool,
    loopback: bool,
}

impl Issuer {
    pub(crate) fn parse(url: &str) -> Result<Self, Fault> {
        if url.is_empty() {
            return Err(Fault::Empty);
        }
        if url.len() > ISSUER_BYTES_MAX {
            return Err(Fault::WrongLength { min: 1, max: ISSUER_BYTES_MAX });
        }
        let (origin, path) = Origin::split(url, HostCase::Lower).ok_or(Fault::NotHttpsUrl)?;
        if !path.bytes().all(is_path_byte) {
            return Err(Fault::NotHttpsUrl);
        }
        Ok(Self { url: url.to_owned(), https: origin.is_https(), loopback: origin.is_loopback() })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.loopback
    }
}

/// RFC 3986 §3.3 without percent-encoding, which would allow two spellings of one path.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_url::LOOPBACK_HOSTS;

    #[track_caller]
    fn check(url: &str, expected: Result<(bool, bool), Fault>) {
        let found = Issuer::parse(url).map(|issuer| (issuer.is_https(), issuer.is_loopback()));
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn knows_https_and_loopback() {
        check("https://broker.example", Ok((true, false)));
        check("https://broker.example/", Ok((true, false)));
        check("https://broker.example:8443/a/b", Ok((true, false)));
        check("https://[2001:db8::1]:8443", Ok((true, false)));
        for host in LOOPBACK_HOSTS {
            check(&format!("http://{host}:3000"), Ok((false, true)));
            check(&format!("https://{host}"), Ok((true, true)));
        }
        check("http://broker.example", Ok((false, false)));
        check("http://127.0.0.1.example", Ok((false, false)));
        check("http://localhost.example", Ok((false, false)));
        check("http://127.0.0.2", Ok((false, false)));
    }

    #[test]
    fn rejects_invalid_issuer_urls() {
        for url in [
            "broker.example",
            "ftp://broker.example",
            "HTTPS://broker.example",
            "https://",
            "https:///path",
            "https://broker.example?x=1",
            "https://broker.example#x",
            "https://me@broker.example",
            "https://127.0.0.1@evil.example",
            "https://broker.example:",
            "https://broker.example:0",
            "https://broker.example:65536",
            "https://broker.example:+1",
            "https://Broker.example",
            "https://[::1",
            "https://[::g]",
            "https://[::1]x",
            "https://a b.example",
            "https://broker.example/a b",
            "https://broker.example/%61",
            "https://broker.example\n",
            "https://bröker.example",
            "http://localhost\\@evil.example",
        ] {
            check(url, Err(Fault::NotHttpsUrl));
        }
        check("", Err(Fault::Empty));
    }

    #[test]
    fn bounds_the_length() {
        let url = |bytes: usize| format!("{:a<bytes$}", "https://broker.example/");
        check(&url(ISSUER_BYTES_MAX), Ok((true, false)));
        check(&url(ISSUER_BYTES_MAX + 1), Err(Fault::WrongLength { min: 1, max: ISSUER_BYTES_MAX }));
    }
}
