//! The proxy that the environment names for https requests.
//!
//! The variables are those of curl: `HTTPS_PROXY` before `ALL_PROXY`, in either case, and `NO_PROXY`. Loopback and plain
//! http, which only metadata services of platforms use, are always reached directly.

use vouchsafe_cli::Failure;

/// In the order in which they count.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A proxy, and the hosts that it is not for.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The variable that names it.
    pub variable: &'static str,
    pub proxy: ureq::Proxy,
    no_proxy: String,
}

impl Proxy {
    /// Reads the environment through `variable`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Failure> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let Some((name, url)) = VARIABLES.into_iter().find_map(|name| Some((name, set(name)?))) else {
            return Ok(None);
        };
        // The URL may contain a password.
        let proxy = ureq::Proxy::new(url.trim()).map_err(|_| {
            Failure::usage(format!("{name} is not the URL of a proxy"))
                .hint("use http://, https://, socks5h:// or socks5://, for example http://proxy.example:3128")
        })?;
        let no_proxy = set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default();
        Ok(Some(Self { variable: name, proxy, no_proxy }))
    }

    /// Whether requests to `host` go through the proxy.
    pub fn is_for(&self, host: &str) -> bool {
        !self.no_proxy.split([',', ' ']).any(|pattern| excludes(pattern, host))
    }
}

/// Whether one pattern of `NO_PROXY` covers `host`: `*`, the host itself, or a domain above it, with or without a
/// leading dot.
fn excludes(pattern: &str, host: &str) -> bool {
    let pattern = pattern.trim().to_ascii_lowercase();
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let domain = pattern.trim_start_matches('*').trim_start_matches('.').trim_matches(['[', ']']);
    match host.strip_suffix(domain) {
        _ if pattern == "*" => true,
        _ if domain.is_empty() => false,
        Some(rest) => rest.is_empty() || rest.ends_with('.'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Proxy>, Failure> {
        Proxy::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn prefers_https_proxy_over_all_proxy() {
        let of = |variables: &[(&str, &str)]| read(variables).unwrap().map(|it| (it.variable, it.proxy.port()));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://p:1")]), None);
        assert_eq!(of(&[("ALL_PROXY", "socks5://p:2"), ("https_proxy", "p:1")]), Some(("https_proxy", 1)));
        assert_eq!(of(&[("all_proxy", "http://p:3"), ("HTTPS_PROXY", " ")]), Some(("all_proxy", 3)));
    }

    #[test]
    fn rejects_unusable_proxy_without_showing_it() {
        let failure = read(&[("ALL_PROXY", "ftp://user:secret@p")]).unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (2, "ALL_PROXY is not the URL of a proxy"));
    }

    #[test]
    fn excludes_hosts_and_domains_of_no_proxy() {
        for (no_proxy, host, is_for) in [
            ("", "broker.example", true),
            ("*", "broker.example", false),
            ("broker.example", "broker.example", false),
            ("Broker.Example", "broker.example", false),
            ("example", "broker.example", false),
            (".example", "broker.example", false),
            ("*.example", "broker.example", false),
            ("ample", "broker.example", true),
            ("broker.example", "a-broker.example", true),
            ("sub.broker.example", "broker.example", true),
            ("localhost, broker.example", "broker.example", false),
            ("localhost broker.example", "broker.example", false),
            (",", "broker.example", true),
            ("10.1.2.3", "10.1.2.3", false),
            ("10.1.2.3", "110.1.2.3", true),
            ("[fd00::1]", "[fd00::1]", false),
            ("fd00::1", "[fd00::1]", false),
        ] {
            let proxy = read(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)]).unwrap().unwrap();
            assert_eq!(proxy.is_for(host), is_for, "{no_proxy:?} {host}");
        }
    }
}
