//! Patterns of `allowed_outbound_hosts`: `scheme://host[:port]`.
//!
//! The scheme is a name or `*`. The host is a name, an address, `*.domain` (subdomains only) or `*`. The port is a
//! number, a range `low..high` (without `high`) or `*`, and defaults to the scheme's port.

use crate::error::{HostPatternError, ManifestError};
use std::ops::RangeInclusive;

/// One pattern. Names are compared in lowercase; a pattern never contains a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    scheme: Option<String>,
    host: Host,
    ports: RangeInclusive<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Exact(String),
    /// The domain, with a leading dot.
    Subdomains(String),
}

impl HostPattern {
    pub fn parse(pattern: &str) -> Result<Self, ManifestError> {
        parse(pattern).map_err(|reason| ManifestError::HostPattern { pattern: pattern.to_owned(), reason })
    }

    /// Whether a request to `scheme://host:port` is allowed. `host` is as in a URL: an IPv6 address
    /// has its brackets.
    #[must_use]
    pub fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let scheme_fits = self.scheme.as_deref().is_none_or(|allowed| allowed.eq_ignore_ascii_case(scheme));
        let host_fits = match &self.host {
            Host::Any => true,
            Host::Exact(name) => *name == host,
            Host::Subdomains(suffix) => host.strip_suffix(suffix.as_str()).is_some_and(|label| !label.is_empty()),
        };
        scheme_fits && host_fits && self.ports.contains(&port)
    }

    /// The host, if the pattern names exactly one.
    #[must_use]
    pub fn exact_host(&self) -> Option<&str> {
        match &self.host {
            Host::Exact(name) => Some(name),
            Host::Any | Host::Subdomains(_) => None,
        }
    }
}

fn parse(pattern: &str) -> Result<HostPattern, HostPatternError> {
    let (scheme, rest) = pattern.split_once("://").ok_or(HostPatternError::SchemeMissing)?;
    if scheme.is_empty() {
        return Err(HostPatternError::SchemeMissing);
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest == "self" || is_network(rest) {
        return Err(HostPatternError::HostKind);
    }
    if rest.contains(['/', '?', '#', '@']) {
        return Err(HostPatternError::NotAnOrigin);
    }
    let (host, port) = split_port(rest);
    let scheme = (scheme != "*").then(|| scheme.to_ascii_lowercase());
    let ports = match port {
        Some(port) => parse_ports(port)?,
        None => default_port(scheme.as_deref()).map(|port| port..=port).ok_or(HostPatternError::PortMissing)?,
    };
    Ok(HostPattern { scheme, host: parse_host(host)?, ports })
}

fn is_network(rest: &str) -> bool {
    rest.rsplit_once('/').is_some_and(|(address, bits)| {
        bits.parse::<u8>().is_ok() && address.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
    })
}

/// Splits off the port. IPv6 addresses contain colons too, but in brackets.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (rest, None),
    }
}

fn default_port(scheme: Option<&str>) -> Option<u16> {
    match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    }
}

fn parse_ports(port: &str) -> Result<RangeInclusive<u16>, HostPatternError> {
    if port == "*" {
        return Ok(0..=u16::MAX);
    }
    let number = |text: &str| text.parse::<u16>().map_err(|_| HostPatternError::Port);
    match port.split_once("..") {
        Some((low, high)) => {
            let (low, end) = (number(low)?, number(high)?);
            let high = end.checked_sub(1).filter(|high| *high >= low).ok_or(HostPatternError::Port)?;
            Ok(low..=high)
        }
        None => number(port).map(|port| port..=port),
    }
}

fn parse_host(host: &str) -> Result<Host, HostPatternError> {
    if host == "*" {
        return Ok(Host::Any);
    }
    let name = host.strip_prefix('*').unwrap_or(host);
    let is_subdomains = name.len() != host.len();
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['-', '.', '_', ':', '[', ']'].contains(&c);
    if name.is_empty() || !name.chars().all(allowed) || (is_subdomains && (!name.starts_with('.') || name.len() < 2)) {
        return Err(HostPatternError::HostName);
    }
    let name = name.to_ascii_lowercase();
    Ok(if is_subdomains { Host::Subdomains(name) } else { Host::Exact(name) })
}
