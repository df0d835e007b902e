//! A small blocking HTTP client: bounded in time and size, without redirects, and without a proxy for loopback.

use serde::de::DeserializeOwned;
use std::io::ErrorKind;
use std::time::Duration;
use ureq::tls::TlsConfig;
use vouchsafe_cli::Failure;
use vouchsafe_url::{Host, Localhost};

/// Longest response by default.
pub const REPLY_BYTES_MAX: u64 = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WHOLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The client. It keeps connections, and is cheap to clone.
#[derive(Clone)]
pub struct Http {
    /// For loopback.
    direct: ureq::Agent,
    /// For other hosts, through the environment's proxy if there is one.
    proxied: ureq::Agent,
    reply_bytes_max: u64,
}

/// A response with any status.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Parses the body as JSON; `None` if it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl Http {
    pub fn new() -> Self {
        Self::with_timeout(WHOLE_TIMEOUT)
    }

    pub fn with_timeout(whole: Duration) -> Self {
        Self::with(whole, REPLY_BYTES_MAX, TlsConfig::default())
    }

    /// Creates a client with TLS settings and a limit for responses.
    pub fn with(whole: Duration, reply_bytes_max: u64, tls: TlsConfig) -> Self {
        let config = || {
            ureq::Agent::config_builder()
                .tls_config(tls.clone())
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .timeout_global(Some(whole))
                .user_agent(concat!("vouchsafe/", env!("CARGO_PKG_VERSION")))
        };
        Self {
            direct: config().proxy(None).build().new_agent(),
            proxied: config().build().new_agent(),
            reply_bytes_max,
        }
    }

    fn agent(&self, url: &str) -> &ureq::Agent {
        if is_loopback(url) { &self.direct } else { &self.proxied }
    }

    pub fn get(&self, url: &str, bearer: Option<&str>) -> Result<Reply, Failure> {
        let mut request = self.agent(url).get(url).header("accept", "application/json");
        if let Some(token) = bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(url, request.call())
    }

    pub fn post_form(&self, url: &str, form: &[(&str, &str)]) -> Result<Reply, Failure> {
        let request = self.agent(url).post(url).header("accept", "application/json");
        self.read(url, request.send_form(form.iter().copied()))
    }

    pub fn post_json(&self, url: &str, bearer: Option<&str>, body: &serde_json::Value) -> Result<Reply, Failure> {
        let mut request = self.agent(url).post(url).header("content-type", "application/json");
        if let Some(token) = bearer {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(url, request.send(body.to_string()))
    }

    fn read(&self, url: &str, outcome: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, Failure> {
        let failed = |error: ureq::Error| unreachable(url, &error);
        let mut response = outcome.map_err(failed)?;
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.body_mut().with_config().limit(self.reply_bytes_max).read_to_vec().map_err(failed)?;
        Ok(Reply { status: response.status().as_u16(), retry_after, body })
    }
}

/// Omits the query, which may contain secrets.
fn unreachable(url: &str, error: &ureq::Error) -> Failure {
    let place = url.split(['?', '#']).next().unwrap_or(url);
    let failure = Failure::unreachable(format!("no answer from {place}: {error}"));
    match error {
        ureq::Error::BodyExceedsLimit(_) => {
            failure.hint("the response is too long; check that this is the right server")
        }
        ureq::Error::BadUri(_) => Failure::usage(format!("{place} is not a URL")),
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused && is_loopback(url) => {
            failure.hint("is it running? `scripts/up` starts a dev issuer and a broker here, but no gateway")
        }
        _ => failure,
    }
}

/// The scheme and authority of a URL; `None` if it has user information or is invalid.
pub fn origin(url: &str) -> Option<(String, String)> {
    let uri: http::Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    if authority.contains('@') {
        return None;
    }
    Some((uri.scheme_str()?.to_ascii_lowercase(), authority.to_ascii_lowercase()))
}

/// Whether a URL's host is loopback, judged by name only.
pub fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().and_then(Host::parse);
    host.is_some_and(|host| host.is_loopback(Localhost::Exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognizes_loopback_hosts() {
        let table = [
            ("http://127.0.0.1:3000/x", true),
            ("http://127.9.9.9", true),
            ("http://localhost:1", true),
            ("http://[::1]:3000", true),
            ("http://127.0.0.1.example", false),
            ("http://localhost.example", false),
            ("http://user@127.0.0.1", true),
            ("http://128.0.0.1", false),
        ];
        for (url, expected) in table {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }

    #[test]
    fn rejects_origins_with_user_information() {
        assert_eq!(origin("https://A.example:8443/x"), Some(("https".to_owned(), "a.example:8443".to_owned())));
        assert_eq!(origin("https://a@b.example"), None);
        assert_eq!(origin("/token"), None);
    }
}
