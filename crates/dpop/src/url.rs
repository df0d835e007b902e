//! Comparison of URLs (RFC 9449 §4.3, check 9).

/// Whether `stated` names `expected`, apart from query and fragment.
///
/// Scheme and host are compared without case, and a default port may be written (RFC 3986 §6.2.2.1, §6.2.3). Paths are
/// compared as they are written: clients take them from the metadata.
pub(crate) fn names(stated: &str, expected: &str) -> bool {
    normalized(stated).is_some_and(|url| Some(url) == normalized(expected))
}

/// Origin and path. None unless the URL is `http[s]://host…`.
fn normalized(url: &str) -> Option<(String, &str)> {
    let url = url.split(['?', '#']).next()?;
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    let path = if path.is_empty() { "/" } else { path };
    (!host.is_empty()).then(|| (format!("{scheme}://{host}"), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://broker.example/token";

    #[test]
    fn ignores_case_default_port_query_and_fragment() {
        for stated in [
            URL,
            "HTTPS://Broker.EXAMPLE/token",
            "https://broker.example:443/token",
            "https://broker.example/token?a=b#c",
            "https://broker.example/token#c?a=b",
        ] {
            assert!(names(stated, URL), "{stated}");
        }
        assert!(names("http://127.0.0.1:80/token", "http://127.0.0.1/token"));
        assert!(names("https://broker.example", "https://broker.example/"));
        assert!(names("https://[::1]:443/token", "https://[::1]/token"));
    }

    #[test]
    fn tells_other_urls_apart() {
        for stated in [
            "",
            "token",
            "/token",
            "https:///token",
            "https://:443/token",
            "https:broker.example/token",
            "http://broker.example/token",
            "http://broker.example:443/token",
            "https://broker.example:80/token",
            "https://broker.example:4430/token",
            "https://broker.example:/token",
            "https://broker.example./token",
            "https://user@broker.example/token",
            "https://broker.example.evil.example/token",
            "https://broker.example/Token",
            "https://broker.example/token/",
            "https://broker.example//token",
            "https://broker.example/./token",
            "https://broker.example/%74oken",
            "https://broker.example/introspect",
            "https://broker.example?/token",
            "https://broker.example\\/token",
            " https://broker.example/token",
            "https://broker.example/token ",
        ] {
            assert!(!names(stated, URL), "{stated}");
        }
        assert!(!names("ftp://broker.example/token", "ftp://broker.example/token"));
    }
}
