//! URLs that may be fetched (RFC 9110 §4.2, OpenID Connect Discovery 1.0 §4).
//!
//! The `http` crate, which also sends the request, parses URLs, so no second parser can interpret the same text
//! differently. The rules here reject whatever that crate accepts but is not needed.

use http::Uri;
use vouchsafe_url::Localhost;

/// Longest accepted URL, in bytes.
pub const URL_BYTES_MAX: usize = 2048;
const DNS_NAME_BYTES_MAX: usize = 253;
const DNS_LABEL_BYTES_MAX: usize = 63;
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// A URL that may be fetched: https to a named host; for a development issuer, also http or https to loopback.
///
/// A name may still resolve to any address: the component's host checks addresses when it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUrl(String);

impl KeyUrl {
    /// The URL of keys, configured or discovered.
    ///
    /// # Errors
    /// Why `text` must not be fetched.
    pub fn of_keys(text: &str, development: bool) -> Result<Self, UrlRejection> {
        require_fetchable(text, development)?;
        Ok(Self(text.to_owned()))
    }

    /// The URL of an issuer's discovery document (OpenID Connect Discovery 1.0 §4.1).
    ///
    /// # Errors
    /// Why the discovery document of `issuer` must not be fetched.
    pub fn of_discovery(issuer: &str, development: bool) -> Result<Self, UrlRejection> {
        require_fetchable(issuer, development)?;
        if issuer.contains('?') {
            return Err(UrlRejection::Query);
        }
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        Ok(Self(format!("{base}{DISCOVERY_PATH}")))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the URL unless its host and port are those of a URL in `closed`, whatever the scheme or spelling. An
    /// unparsable entry in `closed` matches every host.
    pub(crate) fn outside(self, closed: &[String]) -> Result<Self, UrlRejection> {
        let here = place(&self.0);
        if closed.iter().map(|url| place(url)).any(|it| it.is_none() || it == here) {
            return Err(UrlRejection::Closed);
        }
        Ok(self)
    }

    /// Scheme and authority as written; a different spelling counts as a different origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find(['/', '?']).map_or(0, |at| rest.len().saturating_sub(at));
        self.0.get(..self.0.len().saturating_sub(path)).unwrap_or(&self.0)
    }
}

/// Why a URL must not be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRejection {
    #[error("the host is a literal address or loopback")]
    Address,
    #[error("the host and port belong to a signing gateway")]
    Closed,
    #[error("the URL has a fragment")]
    Fragment,
    #[error("the host is not a DNS name")]
    Host,
    #[error("the URL is malformed")]
    Malformed,
    #[error("the issuer URL must not contain a query")]
    Query,
    #[error("the scheme is not https")]
    Scheme,
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error("the URL has userinfo")]
    Userinfo,
}

fn require_fetchable(text: &str, development: bool) -> Result<(), UrlRejection> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlRejection::TooLong);
    }
    // The `http` crate silently drops fragments and accepts some bytes that RFC 3986 does not.
    if text.contains('#') {
        return Err(UrlRejection::Fragment);
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(UrlRejection::Malformed);
    }
    let encrypted = text.starts_with("https://");
    if !encrypted && !text.starts_with("http://") {
        return Err(UrlRejection::Scheme);
    }
    let uri = text.parse::<Uri>().map_err(|_| UrlRejection::Malformed)?;
    match Host::of(&uri)? {
        Host::Loopback if development => Ok(()),
        Host::Loopback | Host::Address => Err(UrlRejection::Address),
        Host::Name if encrypted => Ok(()),
        Host::Name => Err(UrlRejection::Scheme),
    }
}

/// Host and port to which a request for `url` goes. All loopback names count as one host.
fn place(url: &str) -> Option<(String, u16)> {
    let uri = url.parse::<Uri>().ok()?;
    let port = uri.port_u16().or(match uri.scheme_str()? {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    })?;
    let host = uri.host()?.trim_end_matches('.').to_ascii_lowercase();
    let host = match Host::of(&uri) {
        Ok(Host::Loopback) => "localhost".to_owned(),
        Ok(Host::Address | Host::Name) | Err(_) => host,
    };
    Some((host, port))
}

enum Host {
    Address,
    Loopback,
    Name,
}

impl Host {
    fn of(uri: &Uri) -> Result<Self, UrlRejection> {
        let authority = uri.authority().ok_or(UrlRejection::Malformed)?.as_str();
        if authority.contains('@') {
            return Err(UrlRejection::Userinfo);
        }
        let host = uri.host().ok_or(UrlRejection::Host)?;
        require_plain_port(authority.strip_prefix(host).ok_or(UrlRejection::Malformed)?)?;
        let parsed = vouchsafe_url::Host::parse(host).ok_or(UrlRejection::Host)?;
        if let vouchsafe_url::Host::Name(name) = parsed {
            require_dns_name(name)?;
        }
        Ok(match parsed {
            _ if parsed.is_loopback(Localhost::Subdomains) => Self::Loopback,
            vouchsafe_url::Host::Address(_) => Self::Address,
            vouchsafe_url::Host::Name(_) => Self::Name,
        })
    }
}

fn require_dns_name(host: &str) -> Result<(), UrlRejection> {
    let labels_fit = host.split('.').all(is_dns_label);
    let last = host.rsplit('.').next().unwrap_or(host).to_ascii_lowercase();
    // Many resolvers treat `127.1`, `0x7f000001` and `2130706433` as addresses.
    let ends_in_number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    if !labels_fit || ends_in_number || host.len() > DNS_NAME_BYTES_MAX {
        return Err(UrlRejection::Host);
    }
    Ok(())
}

fn is_dns_label(label: &str) -> bool {
    let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (1..=DNS_LABEL_BYTES_MAX).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
}

/// Requires nothing after the host, or `:` and a port in canonical decimal.
fn require_plain_port(after_host: &str) -> Result<(), UrlRejection> {
    let Some(port) = after_host.strip_prefix(':') else {
        return if after_host.is_empty() { Ok(()) } else { Err(UrlRejection::Malformed) };
    };
    match port.parse::<u16>() {
        Ok(number) if number > 0 && number.to_string() == port => Ok(()),
        Ok(_) | Err(_) => Err(UrlRejection::Malformed),
    }
}

#[cfg(test)]
#[path = "url_tests.rs"]
mod tests;
