//! Token exchange, the client's side (RFC 8693 §2).

use super::broker::Broker;
use super::http::{Http, Reply};
use super::text::{is_bearer_token, sanitize};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use vouchsafe_cli::Failure;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Retries if the broker is temporarily unable to answer.
const RETRIES_MAX: usize = 2;
const PAUSE_SECONDS_DEFAULT: u64 = 1;
/// A subject that was denied too often waits for up to a minute.
const PAUSE_SECONDS_MAX: u64 = 60;

/// A client's request.
pub struct ExchangeRequest<'a> {
    pub subject_token: &'a str,
    pub subject_token_type: &'a str,
    pub audience: &'a str,
    pub scopes: &'a [String],
    pub requested_token_type: Option<&'a str>,
    pub requested_expires_in: Option<u64>,
}

/// The response to a request that was granted (RFC 8693 §2.2.1).
#[derive(Debug, Deserialize, Serialize)]
pub struct Issued {
    pub access_token: String,
    pub issued_token_type: String,
    pub token_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// The response to a request that was refused (RFC 6749 §5.2).
#[derive(Debug, Default, Deserialize)]
pub struct OAuthError {
    pub error: String,
    #[serde(default)]
    pub error_description: Option<String>,
    #[serde(default)]
    pub decision_id: Option<String>,
}

/// The outcome of an exchange.
#[derive(Debug)]
pub enum Outcome {
    Issued(Issued),
    Refused { status: u16, error: OAuthError },
}

/// Exchanges a token, and retries while the broker is temporarily unable to answer.
pub fn exchange(http: &Http, broker: &Broker, request: &ExchangeRequest) -> Result<Outcome, Failure> {
    let scope = request.scopes.join(" ");
    let lifetime = request.requested_expires_in.map(|seconds| seconds.to_string());
    let mut form = vec![
        ("grant_type", GRANT),
        ("subject_token", request.subject_token),
        ("subject_token_type", request.subject_token_type),
        ("audience", request.audience),
    ];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    form.extend(request.requested_token_type.map(|name| ("requested_token_type", name)));
    form.extend(lifetime.as_deref().map(|seconds| ("requested_expires_in", seconds)));
    let mut reply = http.post_form(&broker.token_endpoint, &form)?;
    for _ in 0..RETRIES_MAX {
        if !is_temporary(reply.status) {
            break;
        }
        std::thread::sleep(pause(reply.retry_after.as_deref()));
        reply = http.post_form(&broker.token_endpoint, &form)?;
    }
    read(&reply, &broker.token_endpoint)
}

/// Whether a status means that no decision was made: unavailable, or too many requests (RFC 6585 §4).
fn is_temporary(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// The pause that `retry-after` asks for in seconds (RFC 9110 §10.2.3), bounded; a date counts as the default.
fn pause(retry_after: Option<&str>) -> Duration {
    let seconds = retry_after.and_then(|text| text.trim().parse().ok()).unwrap_or(PAUSE_SECONDS_DEFAULT);
    Duration::from_secs(seconds.min(PAUSE_SECONDS_MAX))
}

fn read(reply: &Reply, endpoint: &str) -> Result<Outcome, Failure> {
    let invalid = || Failure::unreachable(format!("invalid response from {endpoint} (status {})", reply.status));
    if reply.is_success() {
        let issued = reply.json::<Issued>().ok_or_else(invalid)?;
        if !is_bearer_token(&issued.access_token) {
            return Err(invalid());
        }
        return Ok(Outcome::Issued(issued));
    }
    let error = reply.json().ok_or_else(invalid)?;
    Ok(Outcome::Refused { status: reply.status, error })
}

impl Outcome {
    /// Returns the token, or the refusal as a failure with a hint.
    pub fn into_issued(self) -> Result<Issued, Failure> {
        match self {
            Self::Issued(issued) => Ok(issued),
            Self::Refused { status, error } => Err(refusal(status, &error)),
        }
    }
}

fn refusal(status: u16, error: &OAuthError) -> Failure {
    let what = if is_temporary(status) { "the broker made no decision" } else { "the broker refused" };
    let mut message = format!("{what}: {}", sanitize(&error.error));
    if let Some(description) = &error.error_description {
        message = format!("{message}: {}", sanitize(description));
    }
    if let Some(id) = &error.decision_id {
        message = format!("{message} (decision {})", sanitize(id));
    }
    let failure = if is_temporary(status) { Failure::unreachable(message) } else { Failure::refused(message) };
    match (hint(&error.error), &error.decision_id) {
        (Some(hint), _) => failure.hint(hint),
        (None, Some(_)) => failure.hint("the broker's operator finds the reason under the decision id"),
        (None, None) => failure,
    }
}

/// What to do about an OAuth error, if known.
pub fn hint(error: &str) -> Option<&'static str> {
    match error {
        "invalid_request" => Some(
            "check that the subject token is fresh, was not used before, and has this broker's URL as its audience",
        ),
        "invalid_scope" => Some("request only scopes that the audience offers"),
        "invalid_target" => Some(
            "the audience is unknown, or no policy permits it for this workload; the broker's operator finds the reason under the decision id",
        ),
        "slow_down" => Some("requests of this workload were denied too often; correct them, and retry after a minute"),
        "temporarily_unavailable" => Some("the broker or a service that it needs is down; retry later"),
        "unsupported_grant_type" => Some("this server does not support token exchange; check --broker"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn bounds_the_pause_before_a_retry() {
        let table = [(None, 1), (Some("0"), 0), (Some("3"), 3), (Some("60"), 60), (Some("61"), 60), (Some("soon"), 1)];
        for (text, seconds) in table {
            assert_eq!(pause(text), Duration::from_secs(seconds), "{text:?}");
        }
    }

    #[test]
    fn refusal_shows_error_description_and_decision() {
        let body = r#"{"error":"invalid_target","error_description":"no such audience","decision_id":"d1"}"#;
        let failure = read(&reply(400, body), "e").unwrap().into_issued().unwrap_err();
        assert_eq!(failure.message, "the broker refused: invalid_target: no such audience (decision d1)");
        assert_eq!(failure.code, 1);
    }

    #[test]
    fn rejects_responses_that_are_not_oauth() {
        for (status, body) in [
            (200, "<html>"),
            (404, "not found"),
            (302, ""),
            (200, r#"{"access_token":"a b","issued_token_type":"t","token_type":"Bearer"}"#),
        ] {
            assert_eq!(read(&reply(status, body), "e").unwrap_err().code, 3, "{status} {body}");
        }
    }

    #[test]
    fn temporary_error_is_not_a_refusal() {
        for (status, error, code) in [(503, "temporarily_unavailable", 3), (429, "slow_down", 3), (400, "slow_down", 1)]
        {
            let body = format!(r#"{{"error":"{error}"}}"#);
            let failure = read(&reply(status, &body), "e").unwrap().into_issued().unwrap_err();
            assert_eq!(failure.code, code, "{status}");
            assert!(failure.hint.is_some() || status == 400, "{status}");
        }
    }

    /// Starts a server that sends `answers` in turn, each on its own connection.
    fn server(answers: &'static [&'static str]) -> String {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let mut read = 0;
                // The form ends with the audience.
                while !request[..read].ends_with(b"audience=a") {
                    read += stream.read(&mut request[read..]).unwrap();
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("http://{address}/token")
    }

    #[test]
    fn retries_after_too_many_requests() {
        const SLOW_DOWN: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 21\r\nconnection: close\r\n\r\n{\"error\":\"slow_down\"}";
        const ISSUED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 65\r\nconnection: close\r\n\r\n{\"access_token\":\"a.b\",\"issued_token_type\":\"t\",\"token_type\":\"N_A\"}";
        let request = ExchangeRequest {
            subject_token: "t",
            subject_token_type: "u",
            audience: "a",
            scopes: &[],
            requested_token_type: None,
            requested_expires_in: None,
        };
        let ask = |answers| {
            let broker =
                Broker { issuer: "http://127.0.0.1".into(), token_endpoint: server(answers), jwks_uri: String::new() };
            exchange(&Http::new(), &broker, &request).unwrap().into_issued()
        };
        let issued = ask(&[SLOW_DOWN, SLOW_DOWN, ISSUED]).unwrap();
        assert_eq!(issued.access_token, "a.b");
        let failure = ask(&[SLOW_DOWN, SLOW_DOWN, SLOW_DOWN]).unwrap_err();
        assert_eq!(failure.code, 3);
        assert_eq!(failure.message, "the broker made no decision: slow_down");
    }
}
