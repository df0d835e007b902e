//! Hosts and origins of `http` and `https` URLs, exactly as they are written.
//!
//! Every part of Vouchsafe that decides whether a URL may be used reads hosts with this crate, and states where it is
//! stricter or laxer than another. Does not normalize, resolve or fetch anything.
//!
//! Entry points: [`Origin::split`] for URLs that are compared byte for byte; [`Host::parse`] for the host of a URL that
//! another parser has split already.
//!
//! ```
//! use vouchsafe_url::{Host, HostCase, Localhost, Origin};
//!
//! let (origin, path) = Origin::split("http://localhost:3000/token", HostCase::Lower).unwrap();
//! assert!(!origin.is_https() && origin.is_loopback());
//! assert_eq!(path, "/token");
//!
//! let host = Host::parse("127.9.9.9").unwrap();
//! assert!(host.is_loopback(Localhost::Exact));
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Hosts on which a development set-up may use `http`, in the only accepted spellings.
pub const LOOPBACK_HOSTS: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Which letters a host name may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCase {
    /// Upper and lower case.
    Any,
    /// Lower case only, so that a host has one spelling.
    Lower,
}

/// Which names stand for loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Localhost {
    /// `localhost` in lower case.
    Exact,
    /// `localhost` in any case.
    AnyCase,
    /// `localhost` and every name below it, in any case (RFC 6761 §6.3).
    Subdomains,
}

/// The host of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'u> {
    Address(IpAddr),
    /// Anything else; whether it is a DNS name is not checked.
    Name(&'u str),
}

impl<'u> Host<'u> {
    /// Reads an IPv4 address, an IPv6 address in brackets, or a name. Returns `None` for anything else in brackets.
    #[must_use]
    pub fn parse(host: &'u str) -> Option<Self> {
        if let Some(literal) = host.strip_prefix('[') {
            let address: Ipv6Addr = literal.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        let address = host.parse::<Ipv4Addr>();
        Some(address.map_or(Self::Name(host), |address| Self::Address(address.into())))
    }

    /// Whether the host is this machine: a loopback address, or one of the names that `localhost` admits.
    #[must_use]
    pub fn is_loopback(self, localhost: Localhost) -> bool {
        match (self, localhost) {
            (Self::Address(address), _) => address.is_loopback(),
            (Self::Name(name), Localhost::Exact) => name == "localhost",
            (Self::Name(name), Localhost::AnyCase) => name.eq_ignore_ascii_case("localhost"),
            (Self::Name(name), Localhost::Subdomains) => {
                let last = name.rsplit('.').next();
                last.is_some_and(|label| label.eq_ignore_ascii_case("localhost"))
            }
        }
    }
}

/// Scheme and host of a URL `http[s]://host[:port]…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'u> {
    is_https: bool,
    host: &'u str,
}

impl<'u> Origin<'u> {
    /// Splits `url` into its origin and the rest, which is empty or begins with the first `/`.
    ///
    /// Returns `None` unless the scheme is `http` or `https` in lower case, the host is an IPv6 address in brackets or
    /// consists of letters, digits, `.` and `-`, and the port, if any, is a number from 1 to 65535. A user name is
    /// therefore never accepted.
    #[must_use]
    pub fn split(url: &'u str, case: HostCase) -> Option<(Self, &'u str)> {
        let (is_https, rest) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://")?),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host_bytes = match authority.strip_prefix('[') {
            Some(rest) => rest.find(']')?.checked_add(2)?,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, port) = authority.split_at_checked(host_bytes)?;
        let is_valid = is_host(host, case) && is_port(port);
        is_valid.then_some((Self { is_https, host }, path))
    }

    #[must_use]
    pub fn is_https(self) -> bool {
        self.is_https
    }

    /// Whether the host is one of [`LOOPBACK_HOSTS`].
    #[must_use]
    pub fn is_loopback(self) -> bool {
        LOOPBACK_HOSTS.contains(&self.host)
    }
}

fn is_host(host: &str, case: HostCase) -> bool {
    if host.starts_with('[') {
        return Host::parse(host).is_some();
    }
    let is_legal = |byte: u8| match byte {
        b'A'..=b'Z' => case == HostCase::Any,
        _ => byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-'),
    };
    !host.is_empty() && host.bytes().all(is_legal)
}

/// Nothing, or a colon and a port number.
fn is_port(port: &str) -> bool {
    match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse().is_ok_and(|port: u16| port > 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_addresses_from_names() {
        let address = |text: &str| Some(Host::Address(text.parse().unwrap()));
        for (text, expected) in [
            ("127.0.0.1", address("127.0.0.1")),
            ("[::1]", address("::1")),
            ("localhost", Some(Host::Name("localhost"))),
            ("127.1", Some(Host::Name("127.1"))),
            ("::1", Some(Host::Name("::1"))),
            ("[127.0.0.1]", None),
            ("[::1", None),
            ("[]", None),
        ] {
            assert_eq!(Host::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn recognizes_loopback_by_address_or_name() {
        let all = [Localhost::Exact, Localhost::AnyCase, Localhost::Subdomains];
        for (text, expected) in [
            ("127.9.9.9", [true; 3]),
            ("[::1]", [true; 3]),
            ("localhost", [true; 3]),
            ("LocalHost", [false, true, true]),
            ("a.localhost", [false, false, true]),
            ("localhost.example", [false; 3]),
            ("128.0.0.1", [false; 3]),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!(all.map(|names| host.is_loopback(names)), expected, "{text}");
        }
    }

    #[track_caller]
    fn check(url: &str, case: HostCase, expected: Option<(bool, &str, &str)>) {
        let found = Origin::split(url, case);
        let found = found.map(|(origin, path)| (origin.is_https, origin.host, path));
        assert_eq!(found, expected, "{url}");
    }

    #[test]
    fn splits_origin_from_path() {
        for case in [HostCase::Any, HostCase::Lower] {
            check("https://a.example", case, Some((true, "a.example", "")));
            check("http://a:1/b?c", case, Some((false, "a", "/b?c")));
            check("https://[::1]:65535/", case, Some((true, "[::1]", "/")));
        }
        let upper = Some((true, "A.example", ""));
        check("https://A.example", HostCase::Any, upper);
        check("https://A.example", HostCase::Lower, None);
    }

    #[test]
    fn rejects_malformed_origins() {
        for url in [
            "a.example",
            "ftp://a.example",
            "HTTPS://a.example",
            "https://",
            "https:///path",
            "https://me@a.example",
            "https://a.example?x",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:65536",
            "https://a.example:+1",
            "https://a:1:2",
            "https://[::1",
            "https://[::g]",
            "https://[::1]x",
            "https://a b",
            "https://bröker.example",
        ] {
            check(url, HostCase::Any, None);
        }
    }

    #[test]
    fn loopback_hosts_have_one_spelling() {
        let is_loopback = |host: &str| {
            let url = format!("http://{host}:80");
            Origin::split(&url, HostCase::Any).is_some_and(|(origin, _)| origin.is_loopback())
        };
        assert!(LOOPBACK_HOSTS.into_iter().all(is_loopback));
        for host in ["127.0.0.2", "[::0:1]", "LOCALHOST", "localhost.example", "a.localhost"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
