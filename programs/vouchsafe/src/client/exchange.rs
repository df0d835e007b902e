//! The exchange from the client's side (RFC 8693 §2).

use super::broker::shown;
use super::{Broker, Http, Reply};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use vouchsafe_cli::Failure;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Repeats after the broker said that it has no answer now.
const RETRIES_MAX: usize = 2;
const PAUSE_SECONDS_DEFAULT: u64 = 1;
/// A subject that was denied too often gets no decision for up to a minute.
const PAUSE_SECONDS_MAX: u64 = 60;

/// What a client asks for.
pub struct ExchangeRequest<'a> {
    pub subject_token: &'a str,
    pub subject_token_type: &'a str,
    pub audience: &'a str,
    pub scopes: &'a [String],
    pub requested_token_type: Option<&'a str>,
    pub requested_expires_in: Option<u64>,
}

/// The broker's answer to a request that it granted (RFC 8693 §2.2.1).
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

/// The broker's answer to a request that it refused (RFC 6749 §5.2).
#[derive(Debug, Default, Deserialize)]
pub struct OAuthError {
    pub error: String,
    #[serde(default)]
    pub error_description: Option<String>,
    #[serde(default)]
    pub decision_id: Option<String>,
}

/// How an exchange ended.
#[derive(Debug)]
pub enum Outcome {
    Issued(Issued),
    Refused { status: u16, error: OAuthError },
}

/// Asks once, and again where the broker says that it can't answer just now.
pub fn exchange(
    http: &Http,
    broker: &Broker,
    request: &ExchangeRequest,
) -> Result<Outcome, Failure> {
    let scope = request.scopes.join(" ");
    let lifetime = request
        .requested_expires_in
        .map(|seconds| seconds.to_string());
    let mut form = vec![
        ("grant_type", GRANT),
        ("subject_token", request.subject_token),
        ("subject_token_type", request.subject_token_type),
        ("audience", request.audience),
    ];
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    form.extend(
        request
            .requested_token_type
            .map(|name| ("requested_token_type", name)),
    );
    form.extend(
        lifetime
            .as_deref()
            .map(|seconds| ("requested_expires_in", seconds)),
    );
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

/// Unavailable, or too many requests (RFC 6585 §4): no decision about this one.
fn is_temporary(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// `retry-after` in seconds (RFC 9110 §10.2.3), bounded; a date counts as the default.
fn pause(retry_after: Option<&str>) -> Duration {
    let seconds = retry_after
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(PAUSE_SECONDS_DEFAULT);
    Duration::from_secs(seconds.min(PAUSE_SECONDS_MAX))
}

fn read(reply: &Reply, endpoint: &str) -> Result<Outcome, Failure> {
    let foreign = || {
        Failure::unreachable(format!(
            "{endpoint} did not answer as a token endpoint (status {})",
            reply.status
        ))
    };
    if reply.is_success() {
        let issued = reply.json::<Issued>().ok_or_else(foreign)?;
        if !printable(&issued.access_token) {
            return Err(foreign());
        }
        return Ok(Outcome::Issued(issued));
    }
    let error = reply.json().ok_or_else(foreign)?;
    Ok(Outcome::Refused {
        status: reply.status,
        error,
    })
}

/// Whether a token has the characters of a bearer token (RFC 6750 §2.1) and so can be printed
/// into a shell or a workflow command without being taken for anything else.
pub fn printable(token: &str) -> bool {
    !token.is_empty()
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

impl Outcome {
    /// The token, or the refusal as a failure with what to do about it.
    pub fn issued(self) -> Result<Issued, Failure> {
        match self {
            Self::Issued(issued) => Ok(issued),
            Self::Refused { status, error } => Err(refusal(status, &error)),
        }
    }
}

fn refusal(status: u16, error: &OAuthError) -> Failure {
    let what = match is_temporary(status) {
        true => "the broker made no decision",
        false => "the broker refused",
    };
    let mut message = format!("{what}: {}", shown(&error.error));
    if let Some(description) = &error.error_description {
        message = format!("{message}: {}", shown(description));
    }
    if let Some(id) = &error.decision_id {
        message = format!("{message} (decision {})", shown(id));
    }
    let failure = if is_temporary(status) {
        Failure::unreachable(message)
    } else {
        Failure::refused(message)
    };
    match (hint(&error.error), &error.decision_id) {
        (Some(hint), _) => failure.hint(hint),
        (None, Some(_)) => {
            failure.hint("whoever runs the broker finds the reason under the decision id")
        }
        (None, None) => failure,
    }
}

/// What to do about an OAuth error.
pub fn hint(error: &str) -> Option<&'static str> {
    match error {
        "invalid_request" => Some(
            "is the subject token fresh, not used before, and made for this broker's URL as its audience?",
        ),
        "invalid_scope" => Some("ask with --scope for no more than the audience offers"),
        "invalid_target" => Some(
            "the audience is unknown, or no rule lets this workload have it; whoever runs the broker finds the reason under the decision id",
        ),
        "slow_down" => Some(
            "requests of this workload were denied too often; mend what is denied, or try again in a minute",
        ),
        "temporarily_unavailable" => {
            Some("the broker or something behind it is down; try again later")
        }
        "unsupported_grant_type" => Some("this server does no token exchange: is --broker right?"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            retry_after: None,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn waits_as_long_as_the_broker_says_within_a_bound() {
        let table = [
            (None, 1),
            (Some("0"), 0),
            (Some("3"), 3),
            (Some("60"), 60),
            (Some("61"), 60),
            (Some("soon"), 1),
        ];
        for (text, seconds) in table {
            assert_eq!(pause(text), Duration::from_secs(seconds), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_shows_error_description_and_decision() {
        let body = r#"{"error":"invalid_target","error_description":"no such audience","decision_id":"d1"}"#;
        let failure = read(&reply(400, body), "e").unwrap().issued().unwrap_err();
        assert_eq!(
            failure.message,
            "the broker refused: invalid_target: no such audience (decision d1)"
        );
        assert_eq!(failure.code, 1);
    }

    #[test]
    fn what_is_not_oauth_is_no_answer() {
        for (status, body) in [
            (200, "<html>"),
            (404, "not found"),
            (302, ""),
            (
                200,
                r#"{"access_token":"a b","issued_token_type":"t","token_type":"Bearer"}"#,
            ),
        ] {
            assert_eq!(
                read(&reply(status, body), "e").unwrap_err().code,
                3,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn an_answer_without_a_decision_is_not_a_refusal() {
        for (status, error, code) in [
            (503, "temporarily_unavailable", 3),
            (429, "slow_down", 3),
            (400, "slow_down", 1),
        ] {
            let body = format!(r#"{{"error":"{error}"}}"#);
            let failure = read(&reply(status, &body), "e")
                .unwrap()
                .issued()
                .unwrap_err();
            assert_eq!(failure.code, code, "{status}");
            assert!(failure.hint.is_some() || status == 400, "{status}");
        }
    }

    /// A server that answers `answers` in turn, each on a connection of its own.
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
    fn asks_again_after_too_many_requests() {
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
            let broker = Broker {
                issuer: "http://127.0.0.1".into(),
                token_endpoint: server(answers),
                jwks_uri: String::new(),
            };
            exchange(&Http::new(), &broker, &request).unwrap().issued()
        };
        let issued = ask(&[SLOW_DOWN, SLOW_DOWN, ISSUED]).unwrap();
        assert_eq!(issued.access_token, "a.b");
        let failure = ask(&[SLOW_DOWN, SLOW_DOWN, SLOW_DOWN]).unwrap_err();
        assert_eq!(failure.code, 3);
        assert_eq!(failure.message, "the broker made no decision: slow_down");
    }

    #[test]
    fn tokens_that_could_be_commands_are_not_printable() {
        for (token, expected) in [
            ("a.b-c_d~e+f/g=", true),
            ("", false),
            ("a\n::add-path::x", false),
            ("a;b", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(printable(token), expected, "{token:?}");
        }
    }
}
