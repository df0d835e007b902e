//! A broker, found by its issuer URL: where its endpoints are, and that they are its own.

use super::Http;
use super::http::{is_loopback, origin};
use serde::Deserialize;
use vouchsafe_cli::Failure;
use vouchsafe_providers::is_unprintable;

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// A broker whose metadata named it by the URL that was asked (RFC 8414 §3.3).
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
    /// Fetches the metadata of the broker at `url`, which may end in one slash more than its issuer URL.
    pub fn discover(http: &Http, url: &str) -> Result<Self, Failure> {
        let issuer = url.strip_suffix('/').unwrap_or(url);
        let reply = http.get(&metadata_url(issuer)?, None)?;
        if !reply.is_success() {
            return Err(Failure::unreachable(format!(
                "{issuer} has no metadata (status {})",
                reply.status
            ))
            .hint("--broker takes the broker's issuer URL, without /token"));
        }
        let metadata = reply.json::<Metadata>().ok_or_else(|| {
            Failure::unreachable(format!(
                "the metadata of {issuer} is not that of an OAuth server"
            ))
            .hint("--broker takes the broker's issuer URL, without /token")
        })?;
        // The issuer's own name may end in a slash, as the argument may.
        let issuer = if metadata.issuer == url { url } else { issuer };
        Self::check(issuer, metadata)
    }

    /// Another issuer's name in the metadata means that another server would get the subject token.
    fn check(issuer: &str, metadata: Metadata) -> Result<Self, Failure> {
        if metadata.issuer != issuer {
            return Err(Failure::refused(format!(
                "the broker calls itself {}, not {issuer}",
                shown(&metadata.issuer)
            ))
            .hint("give --broker exactly as the broker's `issuer` variable has it"));
        }
        for endpoint in [&metadata.token_endpoint, &metadata.jwks_uri] {
            if origin(endpoint).is_none() || origin(endpoint) != origin(issuer) {
                return Err(Failure::refused(format!(
                    "the broker's endpoint {} is on another origin",
                    shown(endpoint)
                ))
                .hint("nothing was sent there; ask who runs this broker"));
            }
        }
        let Metadata {
            issuer,
            token_endpoint,
            jwks_uri,
        } = metadata;
        Ok(Self {
            issuer,
            token_endpoint,
            jwks_uri,
        })
    }
}

/// How commands in a CI's log begin wherever they stand in a line: of GitHub Actions and Azure Pipelines, and of the
/// latter alone.
const LOG_COMMANDS: [&str; 2] = ["##[", "##vso["];

/// Text of a server, made safe for a terminal and for a CI's log, and short: nothing in it moves the cursor,
/// reorders other text, or is a command to what reads the log.
pub fn shown(text: &str) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 300;
    const MARK: char = '\u{fffd}';
    let visible = |c| if is_unprintable(c) { MARK } else { c };
    let text = text.chars().take(SHOWN_CHARACTERS_MAX).map(visible);
    let text = LOG_COMMANDS
        .iter()
        .fold(text.collect(), |text: String, command| {
            text.replace(
                command,
                &format!("#{MARK}{}", command.trim_start_matches("#")),
            )
        });
    // A command of GitHub Actions is a whole line.
    match text.trim_start().starts_with("::") {
        true => format!("{MARK}{text}"),
        false => text,
    }
}

/// Where an issuer's metadata is: the well-known part stands before the issuer's path (RFC 8414 §3.1).
fn metadata_url(issuer: &str) -> Result<String, Failure> {
    let wrong = |reason: &str| Failure::usage(format!("--broker {} {reason}", shown(issuer)));
    let (scheme, authority) =
        origin(issuer).ok_or_else(|| wrong("is not a URL such as https://broker.example"))?;
    if issuer.contains(['?', '#']) {
        return Err(wrong("has a query or a fragment"));
    }
    if scheme != "https" && !(scheme == "http" && is_loopback(issuer)) {
        return Err(wrong("is not https").hint("http is for a broker on this machine only"));
    }
    let uri: http::Uri = issuer.parse().map_err(|_| wrong("is not a URL"))?;
    Ok(format!(
        "{scheme}://{authority}{WELL_KNOWN}{}",
        uri.path().trim_end_matches('/')
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://broker.example";

    fn check(issuer: &str, token_endpoint: &str) -> Result<Broker, Failure> {
        let jwks_uri = format!("{ISSUER}/.well-known/jwks.json");
        Broker::check(
            ISSUER,
            Metadata {
                issuer: issuer.into(),
                token_endpoint: token_endpoint.into(),
                jwks_uri,
            },
        )
    }

    #[test]
    fn accepts_endpoints_on_the_issuers_own_origin() {
        let broker = check(ISSUER, "https://broker.example/token").unwrap();
        assert_eq!(broker.token_endpoint, "https://broker.example/token");
    }

    #[test]
    fn refuses_a_broker_with_another_name_or_endpoints_elsewhere() {
        let table = [
            ("https://broker.example/", "https://broker.example/token"),
            ("https://Broker.example", "https://broker.example/token"),
            (ISSUER, "https://broker.example.evil/token"),
            (ISSUER, "https://broker.example:444/token"),
            (ISSUER, "http://broker.example/token"),
            (ISSUER, "https://broker.example@evil/token"),
            (ISSUER, "/token"),
        ];
        for (issuer, endpoint) in table {
            assert_eq!(
                check(issuer, endpoint).unwrap_err().code,
                1,
                "{issuer} {endpoint}"
            );
        }
    }

    #[test]
    fn shows_no_command_and_no_invisible_character() {
        for (text, expected) in [
            (
                "http://[::1]:3000 a#b [1] :x",
                "http://[::1]:3000 a#b [1] :x",
            ),
            ("##[add-mask]x", "#\u{fffd}[add-mask]x"),
            ("a ##[set-env name=x]y", "a #\u{fffd}[set-env name=x]y"),
            ("####[x]", "###\u{fffd}[x]"),
            (
                "##vso[task.setvariable]x",
                "#\u{fffd}vso[task.setvariable]x",
            ),
            ("::error::x", "\u{fffd}::error::x"),
            (" ::error::x", "\u{fffd} ::error::x"),
            ("a\r\n::b", "a\u{fffd}\u{fffd}::b"),
            ("#\u{200b}#[x]", "#\u{fffd}#[x]"),
            (
                "a\u{202e}b\u{2066}c\u{1b}[2J",
                "a\u{fffd}b\u{fffd}c\u{fffd}[2J",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        assert_eq!(shown(&"a".repeat(301)).len(), 300);
    }

    #[test]
    fn puts_the_well_known_part_before_the_path() {
        let url = |issuer| metadata_url(issuer).unwrap();
        assert_eq!(
            url(ISSUER),
            "https://broker.example/.well-known/oauth-authorization-server"
        );
        assert_eq!(
            url("https://a.example/t1"),
            "https://a.example/.well-known/oauth-authorization-server/t1"
        );
        assert_eq!(
            url("http://127.0.0.1:3000"),
            "http://127.0.0.1:3000/.well-known/oauth-authorization-server"
        );
    }

    #[test]
    fn refuses_what_is_no_issuer_url() {
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
}
