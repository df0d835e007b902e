//! Discovery of a broker by its issuer URL (RFC 8414).

use super::http::{Http, is_loopback, origin};
use super::retry::is_temporary;
use super::text::{sanitize, without_user_info};
use serde::Deserialize;
use vouchsafe_cli::Failure;

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// A broker whose metadata has the requested issuer URL (RFC 8414 §3.3).
#[derive(Debug)]
pub struct Broker {
    pub issuer: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
}

impl Broker {
    /// Fetches the metadata of the broker at `url`, which may have a trailing slash that the issuer URL lacks.
    pub fn discover(http: &Http, url: &str) -> Result<Self, Failure> {
        let issuer = url.strip_suffix('/').unwrap_or(url);
        let reply = http.get(&metadata_url(issuer)?, None)?;
        if is_temporary(reply.status) {
            return Err(reply.unexpected(&metadata_url(issuer)?).hint("the broker is down or restarting; retry later"));
        }
        if reply.status >= 500 {
            let hint = "the broker failed; give its operator the request id";
            return Err(reply.unexpected(&metadata_url(issuer)?).hint(hint));
        }
        if reply.status == 404 && has_path(issuer) {
            return Err(Failure::usage(format!("no OAuth metadata at {issuer} (status 404)"))
                .hint("--broker must be the broker's issuer URL, without /token"));
        }
        if !reply.is_success() {
            return Err(reply.not_of_broker(&format!("no OAuth metadata at {issuer}")));
        }
        let metadata = reply
            .json::<Metadata>()
            .ok_or_else(|| reply.not_of_broker(&format!("invalid OAuth metadata at {issuer}")))?;
        // The issuer itself may have a trailing slash too.
        let issuer = if metadata.issuer == url { url } else { issuer };
        Self::check(issuer, metadata)
    }

    /// Checks that issuer and endpoints are the broker's own: otherwise another server would get the subject token.
    fn check(issuer: &str, metadata: Metadata) -> Result<Self, Failure> {
        if metadata.issuer != issuer {
            return Err(Failure::usage(format!(
                "the broker's issuer is `{}`, not `{issuer}`",
                sanitize(&metadata.issuer)
            ))
            .hint("--broker must equal the broker's `issuer` variable"));
        }
        for endpoint in [&metadata.token_endpoint, &metadata.jwks_uri] {
            if origin(endpoint).is_none() || origin(endpoint) != origin(issuer) {
                return Err(Failure::refused(format!(
                    "the broker's endpoint {} has another origin",
                    sanitize(endpoint)
                ))
                .hint("nothing was sent there; ask the operator of this broker"));
            }
        }
        let Metadata { issuer, token_endpoint, jwks_uri } = metadata;
        Ok(Self { issuer, token_endpoint, jwks_uri })
    }
}

/// The URL of an issuer's metadata: the well-known part precedes the issuer's path (RFC 8414 §3.1).
fn metadata_url(issuer: &str) -> Result<String, Failure> {
    let wrong = |reason: &str| Failure::usage(format!("--broker `{}` {reason}", without_user_info(issuer)));
    if issuer.contains('@') {
        return Err(wrong("has a user name or password in it").hint("leave out what precedes the `@`"));
    }
    let (scheme, authority) = origin(issuer).ok_or_else(|| wrong("is not a URL such as https://broker.example"))?;
    if issuer.contains(['?', '#']) {
        return Err(wrong("has a query or a fragment"));
    }
    if scheme != "https" && !(scheme == "http" && is_loopback(issuer)) {
        return Err(wrong("is not https").hint("plain http is accepted for loopback only"));
    }
    let uri: http::Uri = issuer.parse().map_err(|_| wrong("is not a URL"))?;
    Ok(format!("{scheme}://{authority}{WELL_KNOWN}{}", uri.path().trim_end_matches('/')))
}

fn has_path(issuer: &str) -> bool {
    issuer.parse::<http::Uri>().is_ok_and(|uri| uri.path() != "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://broker.example";

    fn check(issuer: &str, token_endpoint: &str) -> Result<Broker, Failure> {
        let jwks_uri = format!("{ISSUER}/.well-known/jwks.json");
        Broker::check(ISSUER, Metadata { issuer: issuer.into(), token_endpoint: token_endpoint.into(), jwks_uri })
    }

    #[test]
    fn accepts_endpoints_on_the_issuers_origin() {
        let broker = check(ISSUER, "https://broker.example/token").unwrap();
        assert_eq!(broker.token_endpoint, "https://broker.example/token");
    }

    #[test]
    fn rejects_other_issuers_and_origins() {
        let table = [
            ("https://broker.example/", "https://broker.example/token", 2),
            ("https://Broker.example", "https://broker.example/token", 2),
            (ISSUER, "https://broker.example.evil/token", 1),
            (ISSUER, "https://broker.example:444/token", 1),
            (ISSUER, "http://broker.example/token", 1),
            (ISSUER, "https://broker.example@evil/token", 1),
            (ISSUER, "/token", 1),
        ];
        for (issuer, endpoint, code) in table {
            assert_eq!(check(issuer, endpoint).unwrap_err().code, code, "{issuer} {endpoint}");
        }
    }

    #[test]
    fn inserts_the_well_known_part_before_the_path() {
        let url = |issuer| metadata_url(issuer).unwrap();
        assert_eq!(url(ISSUER), "https://broker.example/.well-known/oauth-authorization-server");
        assert_eq!(url("https://a.example/t1"), "https://a.example/.well-known/oauth-authorization-server/t1");
        assert_eq!(url("http://127.0.0.1:3000"), "http://127.0.0.1:3000/.well-known/oauth-authorization-server");
    }

    #[test]
    fn rejects_invalid_issuer_urls() {
        for issuer in [
            "broker.example",
            "ftp://broker.example",
            "http://broker.example",
            "https://u@b.example",
            "https://b.example?x",
        ] {
            assert_eq!(metadata_url(issuer).unwrap_err().code, 2, "{issuer}");
        }
    }

    #[test]
    fn errors_never_show_a_password() {
        for url in ["https://u:secret@b.example", "http://u:sec/ret@b.example", "u:secret@b.example"] {
            let failure = metadata_url(url).unwrap_err();
            assert_eq!(failure.message, "--broker `…@b.example` has a user name or password in it");
            assert_eq!(failure.code, 2);
        }
    }

    #[test]
    fn wrong_path_is_not_a_missing_broker() {
        for (url, expected) in [(ISSUER, false), ("https://broker.example/", false), ("https://b.example/token", true)]
        {
            assert_eq!(has_path(url), expected, "{url}");
        }
    }
}
