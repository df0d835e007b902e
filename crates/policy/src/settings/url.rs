//! The URLs that a bundle can contain: https with a host name, or http on loopback in development files.
//!
//! The identity component checks again, and the host checks resolved addresses (invariant I2).

use http::Uri;
use http::uri::Scheme;
use vouchsafe_url::{Host, Localhost};

/// What is wrong with `url`, if anything. Stricter than the grammar of URLs, because the text is also compared byte for
/// byte with `iss`.
pub(crate) fn refusal(url: &str, development: bool) -> Option<&'static str> {
    // Characters are checked first, because `http::Uri` silently drops a fragment.
    if url.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'?' | b'\\' | b'@')) {
        return Some("must be plain ASCII without a query, a fragment or a user name");
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return Some("is not a URL");
    };
    if let Some(refusal) = refusal_of_path(url) {
        return Some(refusal);
    }
    let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
        return Some("is not an absolute URL");
    };
    let host = Host::parse(host);
    let loopback = host.is_some_and(|host| host.is_loopback(Localhost::AnyCase));
    if development && loopback && (scheme == &Scheme::HTTP || scheme == &Scheme::HTTPS) {
        return None;
    }
    if scheme != &Scheme::HTTPS {
        return Some("must be https; http is allowed only for loopback in files marked `development = true`");
    }
    if loopback || matches!(host, Some(Host::Address(_))) {
        return Some("must have a host name, not an IP address or loopback");
    }
    None
}

/// What is wrong with the path: normalization (RFC 3986 §6.2.2) on the way to the issuer must not change it.
fn refusal_of_path(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let (parts, last) = path.rsplit_once('/').map_or((None, path), |(parts, last)| (Some(parts), last));
    let dots = |part: &str| part == "." || part == "..";
    let untidy = |part: &str| part.is_empty() || dots(part);
    let encoded = path.to_ascii_lowercase();
    let hidden = ["%2e", "%2f", "%5c", "%25"].iter().any(|it| encoded.contains(it));
    if hidden || dots(last) || parts.is_some_and(|parts| parts.split('/').any(untidy)) {
        return Some("must not have empty, `.` or `..` path segments, even percent-encoded");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn refuses_invalid_issuer_urls() {
        let https = Some("must be https; http is allowed only for loopback in files marked `development = true`");
        let ascii = Some("must be plain ASCII without a query, a fragment or a user name");
        let address = Some("must have a host name, not an IP address or loopback");
        let untidy = Some("must not have empty, `.` or `..` path segments, even percent-encoded");
        let cases = [
            ("https://idp.example", false, None),
            ("https://idp.example:8443/realms/one/", false, None),
            ("http://idp.example", false, https),
            ("http://idp.example", true, https),
            ("http://127.0.0.1:7000", true, None),
            ("http://localhost:7000", true, None),
            ("http://[::1]:7000", true, None),
            ("http://127.0.0.1:7000", false, https),
            ("https://127.0.0.1", false, address),
            ("https://localhost", false, address),
            ("https://10.0.0.1", true, address),
            ("https://[fd00::1]", true, address),
            ("https://user@idp.example", false, ascii),
            ("https://idp.example/#a", false, ascii),
            ("https://idp.example/?a", false, ascii),
            ("https://idp.example\\a", false, ascii),
            ("https://idp.example/ a", false, ascii),
            ("https://idp.exämple", false, ascii),
            ("https://idp.example/a/", false, None),
            ("https://idp.example/my%20realm", false, None),
            ("https://idp.example/a//b", false, untidy),
            ("https://idp.example//", false, untidy),
            ("https://idp.example/..", false, untidy),
            ("https://idp.example/a/./b", false, untidy),
            ("https://idp.example/a%2F..%2Fb", false, untidy),
            ("https://idp.example/a%252e", false, untidy),
            ("https://idp.example/<a>", false, Some("is not a URL")),
            ("https://idp.example/..a/b..", false, None),
            ("", false, Some("is not a URL")),
            ("/realms/one", false, Some("is not an absolute URL")),
            ("file:///etc/keys", false, Some("is not a URL")),
            ("ftp://idp.example", false, https),
        ];
        for (url, development, expected) in cases {
            assert_eq!(refusal(url, development), expected, "{url}");
        }
    }
}
