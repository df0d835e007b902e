//! A small blocking HTTP client: bounded in time and size, without redirects, and the same for every command.
//!
//! A request that fails for the time being is sent again if the command allows retries: see `retry.rs`.

use super::proxy::Proxy;
use super::reply::Reply;
use super::retry::{self, Limits};
use super::text::{sanitize, without_query};
use super::tls;
use std::io::ErrorKind;
use std::time::{Duration, Instant, SystemTime};
use ureq::tls::TlsConfig;
use ureq::{RequestBuilder, Timeout};
use vouchsafe_cli::Failure;
use vouchsafe_url::{Host, Localhost};

/// Longest response by default.
pub const REPLY_BYTES_MAX: u64 = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time for one attempt by default.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Ports that `scripts/up` uses.
const DEV_PORTS: [u16; 2] = [3000, 7000];

/// How a client behaves.
pub struct Settings {
    pub attempt_timeout: Duration,
    pub reply_bytes_max: u64,
    pub tls: TlsConfig,
    /// `None` to send each request once.
    pub retries: Option<Limits>,
}

impl Default for Settings {
    fn default() -> Self {
        let (attempt_timeout, reply_bytes_max) = (ATTEMPT_TIMEOUT, REPLY_BYTES_MAX);
        Self { attempt_timeout, reply_bytes_max, tls: TlsConfig::default(), retries: None }
    }
}

/// The client. It keeps connections, and is cheap to clone.
#[derive(Clone)]
pub struct Http {
    /// For loopback, plain http, and hosts of `NO_PROXY`.
    direct: ureq::Agent,
    /// For other hosts.
    proxied: Option<(ureq::Agent, Proxy)>,
    attempt_timeout: Duration,
    reply_bytes_max: u64,
    retries: Option<Limits>,
    start: Instant,
}

/// Why there is no response.
#[derive(Debug)]
pub struct Unanswered {
    pub failure: Failure,
    /// Whether the same request may succeed later.
    is_temporary: bool,
    /// Whether the server may have received the request.
    is_sent: bool,
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self { failure, is_temporary: false, is_sent: false }
    }
}

impl Http {
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let config = || {
            ureq::Agent::config_builder()
                .tls_config(settings.tls.clone())
                .http_status_as_error(false)
                .max_redirects(0)
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .user_agent(concat!("vouchsafe/", env!("CARGO_PKG_VERSION")))
        };
        let proxy = Proxy::from_environment(|name| std::env::var(name).ok())?;
        Ok(Self {
            direct: config().proxy(None).build().new_agent(),
            proxied: proxy.map(|it| (config().proxy(Some(it.proxy.clone())).build().new_agent(), it)),
            attempt_timeout: settings.attempt_timeout,
            reply_bytes_max: settings.reply_bytes_max,
            retries: settings.retries,
            start: Instant::now(),
        })
    }

    /// The agent for `url`, and the variable that names its proxy.
    fn agent(&self, url: &str) -> (&ureq::Agent, Option<&'static str>) {
        let host = url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        match &self.proxied {
            Some((agent, proxy)) if is_https(url) && !is_loopback(url) && proxy.is_for(&host) => {
                (agent, Some(proxy.variable))
            }
            _ => (&self.direct, None),
        }
    }

    /// The same client for responses of up to `reply_bytes_max` bytes.
    pub fn reading(&self, reply_bytes_max: u64) -> Self {
        Self { reply_bytes_max, ..self.clone() }
    }

    pub fn get(&self, url: &str, bearer: Option<&str>) -> Result<Reply, Failure> {
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let authorization = bearer.as_deref().map(|value| ("authorization", value));
        self.get_with(url, authorization.as_slice())
    }

    pub fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply, Failure> {
        self.repeat(url, |_| self.get_once(url, headers))
    }

    /// Gets once; for [`Self::repeat`].
    pub fn get_once(&self, url: &str, headers: &[(&str, &str)]) -> Result<Reply, Unanswered> {
        let request = self.agent(url).0.get(url).header("accept", "application/json");
        self.read(url, self.limited(with_headers(request, headers)).call())
    }

    /// Posts a form once, with a proof of possession if there is one; for [`Self::repeat`].
    pub fn post_form(&self, url: &str, form: &[(&str, &str)], proof: Option<&str>) -> Result<Reply, Unanswered> {
        let mut request = self.agent(url).0.post(url).header("accept", "application/json");
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        self.read(url, self.limited(request).send_form(form.iter().copied()))
    }

    /// Posts a form once, for an answer in another format than JSON; for [`Self::repeat`].
    pub fn post_form_for(&self, url: &str, accept: &str, form: &[(&str, &str)]) -> Result<Reply, Unanswered> {
        let request = self.agent(url).0.post(url).header("accept", accept);
        self.read(url, self.limited(request).send_form(form.iter().copied()))
    }

    pub fn post_json(&self, url: &str, bearer: Option<&str>, body: &serde_json::Value) -> Result<Reply, Failure> {
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let authorization = bearer.as_deref().map(|value| ("authorization", value));
        self.repeat(url, |_| self.post_json_once(url, authorization.as_slice(), body))
    }

    /// Posts JSON once; for [`Self::repeat`].
    pub fn post_json_once(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &serde_json::Value,
    ) -> Result<Reply, Unanswered> {
        let request = self.agent(url).0.post(url).header("content-type", "application/json");
        self.read(url, self.limited(with_headers(request, headers)).send(body.to_string()))
    }

    /// Posts a body once, with these headers.
    #[cfg(feature = "host")]
    pub fn post_once(&self, url: &str, headers: &[(&str, &str)], body: String) -> Result<Reply, Failure> {
        let mut request = self.agent(url).0.post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.read(url, self.limited(request).send(body)).map_err(|unanswered| unanswered.failure)
    }

    /// Posts a text once.
    pub fn post_text(&self, url: &str, body: String) -> Result<Reply, Failure> {
        let request = self.agent(url).0.post(url).header("content-type", "text/plain; charset=utf-8");
        self.read(url, self.limited(request).send(body)).map_err(|unanswered| unanswered.failure)
    }

    /// Calls `send` until its outcome is final or the limits are reached. `send` is told whether the server may have
    /// received an earlier attempt.
    pub fn repeat(&self, url: &str, mut send: impl FnMut(bool) -> Result<Reply, Unanswered>) -> Result<Reply, Failure> {
        let (mut tries, mut is_sent) = (0_u32, false);
        loop {
            let outcome = send(is_sent);
            tries += 1;
            let (reason, retry_after) = match &outcome {
                Ok(reply) if retry::is_temporary(reply.status) => {
                    is_sent = true;
                    (reply.unexpected(url).message, reply.retry_after)
                }
                Err(unanswered) if unanswered.is_temporary => {
                    is_sent |= unanswered.is_sent;
                    (unanswered.failure.message.clone(), None)
                }
                _ => return self.last(outcome, tries),
            };
            let Some(pause) = self.pause(tries, retry_after) else {
                return self.last(outcome, tries);
            };
            if tries == 1 {
                eprintln!("vouchsafe: {reason}; trying again");
            }
            std::thread::sleep(pause);
        }
    }

    fn pause(&self, tries: u32, retry_after: Option<Duration>) -> Option<Duration> {
        let failed = retry::Failed { retries: tries - 1, elapsed: self.start.elapsed(), retry_after };
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        retry::pause(self.retries?, failed, f64::from(random) / (f64::from(u32::MAX) + 1.0))
    }

    /// The outcome after the last attempt.
    fn last(&self, outcome: Result<Reply, Unanswered>, tries: u32) -> Result<Reply, Failure> {
        match outcome {
            Ok(reply) => Ok(Reply { tries, ..reply }),
            Err(Unanswered { mut failure, .. }) => {
                if tries > 1 {
                    failure.message = format!("{} ({tries} tries)", failure.message);
                }
                Err(failure)
            }
        }
    }

    /// Time for one attempt: no more than the command has left.
    fn attempt_time(&self) -> Duration {
        let left = self.retries.map(|limits| limits.timeout.saturating_sub(self.start.elapsed()));
        self.attempt_timeout.min(left.unwrap_or(self.attempt_timeout)).max(Duration::from_millis(1))
    }

    fn limited<Any>(&self, request: RequestBuilder<Any>) -> RequestBuilder<Any> {
        request.config().timeout_global(Some(self.attempt_time())).build()
    }

    fn read(&self, url: &str, outcome: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, Unanswered> {
        let failed = |error: ureq::Error| self.unanswered(url, &error);
        let mut response = outcome.map_err(failed)?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header("retry-after").and_then(|text| retry::parse_retry_after(text, SystemTime::now()));
        let request_id = header("x-request-id").map(sanitize);
        let content_type = header("content-type").map(sanitize);
        let location = header("location").map(|url| sanitize(without_query(url)));
        let nonce = header("dpop-nonce").map(str::to_owned);
        let body = response.body_mut().with_config().limit(self.reply_bytes_max).read_to_vec().map_err(failed)?;
        let status = response.status().as_u16();
        Ok(Reply { status, retry_after, request_id, content_type, location, nonce, body, tries: 1 })
    }

    /// Omits the query, which may contain secrets.
    fn unanswered(&self, url: &str, error: &ureq::Error) -> Unanswered {
        let place = without_query(url);
        if let ureq::Error::BadUri(_) = error {
            return Failure::usage(format!("{place} is not a URL")).into();
        }
        let proxy = self.agent(url).1;
        let (why, hint) = match tls::error_of(error) {
            // Through a proxy, the server can't be asked once more.
            Some(error) => tls::explain(error, || proxy.is_none().then(|| issuer_of(url))?),
            None => (self.describe(error), self.hint(url, error)),
        };
        let through = proxy.map_or_else(String::new, |variable| format!(" through the proxy of {variable}"));
        let failure = Failure::unreachable(format!("no answer from {place}{through}: {why}"));
        let failure = match hint {
            Some(hint) => failure.hint(hint),
            None if proxy.is_some() => failure.hint("to reach the host without the proxy, add it to NO_PROXY"),
            None => failure,
        };
        let (is_temporary, is_sent) = classify(error);
        Unanswered { failure, is_temporary, is_sent }
    }

    fn describe(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
            }
            ureq::Error::Timeout(_) => match self.retries {
                Some(limits) if limits.timeout <= self.start.elapsed() + Duration::from_millis(100) => {
                    format!("the command's {} s are over", limits.timeout.as_secs_f64())
                }
                _ => format!("not within {} s", self.attempt_timeout.as_secs()),
            },
            other => other.to_string(),
        }
    }

    fn hint(&self, url: &str, error: &ureq::Error) -> Option<&'static str> {
        let port = url.parse::<http::Uri>().ok().and_then(|uri| uri.port_u16());
        match error {
            ureq::Error::BodyExceedsLimit(_) => Some("the response is too long; check that this is the right server"),
            ureq::Error::Timeout(_) if self.retries.is_some() => Some("--timeout sets how long the command may take"),
            ureq::Error::Io(error)
                if error.kind() == ErrorKind::ConnectionRefused
                    && is_loopback(url)
                    && port.is_some_and(|port| DEV_PORTS.contains(&port)) =>
            {
                Some("is it running? in a source checkout, `scripts/up` starts a dev issuer and a broker")
            }
            _ => None,
        }
    }
}

fn with_headers<Any>(mut request: RequestBuilder<Any>, headers: &[(&str, &str)]) -> RequestBuilder<Any> {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

/// Whether the same request may succeed later, and whether the server may have received it.
fn classify(error: &ureq::Error) -> (bool, bool) {
    const REFUSED_BY_PROXY: [&str; 4] = ["429", "502", "503", "504"];
    if tls::error_of(error).is_some() {
        return (false, false);
    }
    match error {
        ureq::Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => (true, false),
            ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
            | ErrorKind::UnexpectedEof => (true, true),
            _ => (false, true),
        },
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => (true, false),
        ureq::Error::Timeout(_) => (true, true),
        ureq::Error::ConnectProxyFailed(why) => (REFUSED_BY_PROXY.iter().any(|status| why.contains(status)), false),
        ureq::Error::HostNotFound | ureq::Error::InvalidProxyUrl => (false, false),
        _ => (false, true),
    }
}

fn issuer_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    tls::issuer_of(uri.host()?, uri.port_u16().unwrap_or(443)).map(|name| sanitize(&name))
}

fn is_https(url: &str) -> bool {
    origin(url).is_some_and(|(scheme, _)| scheme == "https")
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
    use std::io;

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

    #[test]
    fn knows_which_requests_were_not_sent() {
        let io = |kind: ErrorKind| ureq::Error::Io(io::Error::from(kind));
        let proxy = |why: &str| ureq::Error::ConnectProxyFailed(format!("proxy server responded {why}"));
        for (error, expected) in [
            (io(ErrorKind::ConnectionRefused), (true, false)),
            (io(ErrorKind::ConnectionReset), (true, true)),
            (io(ErrorKind::UnexpectedEof), (true, true)),
            (io(ErrorKind::PermissionDenied), (false, true)),
            (ureq::Error::Timeout(Timeout::Connect), (true, false)),
            (ureq::Error::Timeout(Timeout::Global), (true, true)),
            (proxy("503/503"), (true, false)),
            (proxy("407/407"), (false, false)),
            (ureq::Error::HostNotFound, (false, false)),
            (ureq::Error::Rustls(rustls::Error::DecryptError), (false, false)),
        ] {
            assert_eq!(classify(&error), expected, "{error}");
        }
    }

    #[test]
    fn hints_at_scripts_up_only_at_its_ports() {
        let http = Http::new(Settings::default()).unwrap();
        let refused = ureq::Error::Io(io::Error::from(ErrorKind::ConnectionRefused));
        for (url, expected) in [
            ("http://127.0.0.1:3000/token", true),
            ("http://localhost:7000/mint", true),
            ("http://127.0.0.1:8481", false),
            ("http://127.0.0.1", false),
            ("http://broker.example:3000", false),
        ] {
            assert_eq!(http.unanswered(url, &refused).failure.hint.is_some(), expected, "{url}");
        }
    }
}
