//! The proxy for outbound https: `HTTPS_PROXY` and `NO_PROXY`, with curl's rules.

use crate::error::HostError;
use http::Uri;
pub use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::client::proxy::matcher::Matcher;
use std::net::IpAddr;

/// Both spellings of each variable; the first one that has a value counts.
const PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const DIRECT: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Any host that `NO_PROXY` can't name by accident.
const ANYWHERE: &str = "https://issuer.invalid/";

/// Which requests go through a proxy.
#[derive(Default)]
pub struct Proxy(Option<Matcher>);

impl Proxy {
    /// Reads the environment. A value that names no HTTP proxy is an error: without one, requests would go out another
    /// way than the operator wants.
    pub fn from_environment() -> Result<Self, HostError> {
        let first =
            |names: [&str; 2]| names.into_iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
        let Some(proxy) = first(PROXY) else { return Ok(Self::default()) };
        Self::new(&proxy, &first(DIRECT).unwrap_or_default()).ok_or_else(|| {
            // The value may have a password.
            HostError::configuration("HTTPS_PROXY is not the URL of an HTTP proxy")
                .hint("write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; proxies that speak TLS or SOCKS are not supported")
        })
    }

    fn new(proxy: &str, direct: &str) -> Option<Self> {
        let found = Matcher::builder().https(proxy).build().intercept(&Uri::from_static(ANYWHERE))?;
        let is_http = found.uri().scheme() == Some(&http::uri::Scheme::HTTP);
        is_http.then(|| Self(Some(Matcher::builder().https(proxy).no(direct).build())))
    }

    /// The proxy for a request to `uri`, unless it goes out directly.
    pub fn of(&self, uri: &Uri) -> Option<Intercept> {
        let matcher = self.0.as_ref()?;
        if is_loopback(uri.host()?) { None } else { matcher.intercept(uri) }
    }

    /// Host and port of the proxy, without credentials.
    pub fn shown(&self) -> Option<String> {
        // `NO_PROXY=*` switches the proxy off.
        let found = self.0.as_ref()?.intercept(&Uri::from_static(ANYWHERE))?;
        found.uri().authority().map(ToString::to_string)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback_address = bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback_address || bare.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(proxy: &Proxy, url: &str) -> Option<String> {
        proxy.of(&url.parse().expect(url)).map(|found| found.uri().to_string())
    }

    #[test]
    fn only_https_beyond_loopback_uses_the_proxy() {
        let proxy =
            Proxy::new("http://user:secret@proxy.example:3128", "a.example,.b.example,192.0.2.0/24").expect("a proxy");
        let through = Some("http://proxy.example:3128/".to_owned());
        for (url, expected) in [
            ("https://c.example/", &through),
            ("https://nota.example/", &through),
            ("https://192.0.3.1/", &through),
            ("http://c.example/", &None),
            ("https://a.example/", &None),
            ("https://x.a.example/", &None),
            ("https://b.example/", &None),
            ("https://192.0.2.1:8443/", &None),
            ("https://localhost/", &None),
            ("https://127.0.0.2/", &None),
            ("https://[::1]/", &None),
        ] {
            assert_eq!(&of(&proxy, url), expected, "{url}");
        }
        assert_eq!(proxy.shown().as_deref(), Some("proxy.example:3128"));
        assert_eq!(of(&Proxy::default(), "https://c.example/"), None);
        let off = Proxy::new("http://proxy.example:3128", "*").expect("a proxy");
        assert_eq!((of(&off, "https://c.example/"), off.shown()), (None, None));
    }

    #[test]
    fn accepts_only_http_proxies() {
        for (text, expected) in [
            ("http://proxy.example:3128", true),
            ("proxy.example:3128", true),
            ("http://user:p%40ss@proxy.example", true),
            ("https://proxy.example:3128", false),
            ("socks5://proxy.example:1080", false),
            ("http://", false),
            ("not a proxy", false),
        ] {
            assert_eq!(Proxy::new(text, "").is_some(), expected, "{text}");
        }
    }
}
