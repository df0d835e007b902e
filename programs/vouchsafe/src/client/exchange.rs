//! Token exchange, the client's side (RFC 8693 §2).

use super::broker::Broker;
use super::hints;
use super::http::Http;
use super::proof::Prover;
use super::reply::Reply;
use super::retry::is_temporary;
use super::subject::TokenType;
use super::text::{is_bearer_token, sanitize};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use vouchsafe_cli::Failure;
use vouchsafe_dpop::Request;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// A client's request.
pub struct ExchangeRequest<'a> {
    pub subject_token: &'a str,
    pub subject_token_type: &'a str,
    /// Of who acts for the subject; always a JWT.
    pub actor_token: Option<&'a str>,
    pub audience: &'a str,
    pub scopes: &'a [String],
    pub requested_token_type: Option<&'a str>,
    pub requested_expires_in: Option<u64>,
    /// Makes the proofs of possession of the key that the token is to be bound to.
    pub prover: Option<&'a Prover>,
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
    Refused(Refused),
}

/// A response that is not a token.
#[derive(Debug, Default)]
pub struct Refused {
    pub status: u16,
    /// Empty if a proxy answered instead of the broker.
    pub error: OAuthError,
    pub request_id: Option<String>,
    pub retry_after: Option<Duration>,
    /// How often the request was sent.
    pub tries: u32,
    /// The audience of the refused token, if that is what is wrong.
    pub wrong_audience: Option<String>,
    /// Whether an earlier attempt with the same token may have been answered with a token that got lost.
    pub may_be_spent_by_us: bool,
}

/// Exchanges a token, and retries while the broker is temporarily unable to answer.
///
/// An attempt whose answer is lost may have used up a single-use token. The token that it was exchanged for reached
/// nobody and expires within minutes, so repeating the request is safe: at worst, the broker refuses it because the
/// subject token is spent, and the refusal says that an earlier attempt may be the cause. `renew` gets another subject
/// token for such a retry, if the source can issue one.
pub fn exchange(
    http: &Http,
    broker: &Broker,
    request: &ExchangeRequest,
    mut renew: impl FnMut() -> Result<Option<String>, Failure>,
) -> Result<Outcome, Failure> {
    let scope = request.scopes.join(" ");
    let lifetime = request.requested_expires_in.map(|seconds| seconds.to_string());
    let mut subject_token = request.subject_token.to_owned();
    let mut is_repeated = false;
    let reply = http.repeat(&broker.token_endpoint, |is_sent| {
        if is_sent {
            let next = renew()?;
            is_repeated = next.as_ref().is_none_or(|next| *next == subject_token);
            subject_token = next.unwrap_or_else(|| subject_token.clone());
        }
        let mut form = vec![
            ("grant_type", GRANT),
            ("subject_token", subject_token.as_str()),
            ("subject_token_type", request.subject_token_type),
            ("audience", request.audience),
        ];
        if !scope.is_empty() {
            form.push(("scope", &scope));
        }
        if let Some(actor_token) = request.actor_token {
            form.extend([("actor_token", actor_token), ("actor_token_type", TokenType::Jwt.urn())]);
        }
        form.extend(request.requested_token_type.map(|name| ("requested_token_type", name)));
        form.extend(lifetime.as_deref().map(|seconds| ("requested_expires_in", seconds)));
        // Each attempt has a proof of its own, because the broker accepts none twice.
        let to_broker = Request { method: "POST", url: &broker.token_endpoint, access_token: None };
        let send = |proof: Option<&str>| http.post_form(&broker.token_endpoint, &form, proof);
        match request.prover {
            Some(prover) => prover.send(to_broker, |proof| send(Some(proof))),
            None => send(None),
        }
    })?;
    let mut outcome = read(reply, &broker.token_endpoint)?;
    if let (Outcome::Issued(issued), Some(_)) = (&outcome, request.prover) {
        require_bound(issued)?;
    }
    if let Outcome::Refused(refused) = &mut outcome {
        let description = refused.error.error_description.as_deref();
        if hints::is_audience_mismatch(description) {
            refused.wrong_audience = hints::unverified_audience(&subject_token);
        }
        refused.may_be_spent_by_us = is_repeated && hints::is_spent(description);
    }
    Ok(outcome)
}

/// Fails if the broker ignored the proof: its token would serve any bearer (RFC 9449 §5).
fn require_bound(issued: &Issued) -> Result<(), Failure> {
    if issued.token_type.eq_ignore_ascii_case("DPoP") {
        return Ok(());
    }
    let failure = Failure::refused(format!("the broker issued a token of type `{}`", sanitize(&issued.token_type)));
    Err(failure.hint("it does not support DPoP, so the token is bound to no key"))
}

fn read(reply: Reply, endpoint: &str) -> Result<Outcome, Failure> {
    let invalid = || reply.not_of_broker(&format!("invalid response from {endpoint}"));
    if reply.is_success() {
        let issued = reply.json::<Issued>().ok_or_else(invalid)?;
        if !is_bearer_token(&issued.access_token) {
            return Err(invalid());
        }
        return Ok(Outcome::Issued(issued));
    }
    let error: Option<OAuthError> = reply.json();
    let Some(error) = error.or_else(|| is_temporary(reply.status).then(OAuthError::default)) else {
        return Err(invalid());
    };
    let Reply { status, retry_after, request_id, tries, .. } = reply;
    Ok(Outcome::Refused(Refused { status, error, request_id, retry_after, tries, ..Refused::default() }))
}

impl Outcome {
    /// Returns the token, or the refusal as a failure with a hint.
    pub fn into_issued(self, broker: &str) -> Result<Issued, Failure> {
        match self {
            Self::Issued(issued) => Ok(issued),
            Self::Refused(refused) => Err(refused.failure(broker)),
        }
    }
}

impl Refused {
    /// Whether no decision was made.
    fn is_temporary(&self) -> bool {
        is_temporary(self.status)
    }

    /// Whether the broker could not make a decision, and won't soon.
    fn is_fault(&self) -> bool {
        self.status >= 500 && !self.is_temporary()
    }

    /// `slow_down: too many … (decision D, request R)`, as far as it is known.
    pub fn describe(&self) -> String {
        let error = &self.error;
        let mut text = match error.error.as_str() {
            "" => format!("status {}", self.status),
            name => sanitize(name),
        };
        let description = error.error_description.as_deref().map(sanitize);
        if let Some(description) = &description {
            text = format!("{text}: {description}");
        }
        let decision = error.decision_id.as_deref().map(sanitize).filter(|id| !text.contains(id.as_str()));
        let request = self.request_id.clone().filter(|id| !text.contains(id.as_str()));
        let ids = [("decision", decision), ("request", request)];
        let ids: Vec<_> = ids.into_iter().filter_map(|(name, id)| Some(format!("{name} {}", id?))).collect();
        if ids.is_empty() { text } else { format!("{text} ({})", ids.join(", ")) }
    }

    /// What to do about it, if known.
    pub fn hint(&self, broker: &str) -> Option<String> {
        let error = &self.error;
        if let Some(audience) = &self.wrong_audience {
            return Some(format!(
                "the token's `aud` is {audience}, and this broker is `{broker}`: request a token for exactly that URL"
            ));
        }
        if self.may_be_spent_by_us {
            return Some("an earlier try, whose answer was lost, may have used the token; get a new one".to_owned());
        }
        if hints::is_audience_mismatch(error.error_description.as_deref()) {
            return Some(format!("request a token whose `aud` is exactly `{broker}`"));
        }
        let known = match (self.status, error.error.as_str()) {
            (429, "") => {
                Some("a proxy in front of the broker limits requests; retry later, or wait longer with --timeout")
            }
            (_, "") => {
                Some("the broker is down or restarting; retry later, or wait longer with --timeout and --retries")
            }
            _ if self.is_fault() => Some("the broker failed; give its operator the request id"),
            (_, name) => hints::hint(name, error.error_description.as_deref()),
        };
        let finds = "the broker's operator finds the reason under the decision id";
        known.or_else(|| error.decision_id.as_ref().map(|_| finds)).map(str::to_owned)
    }

    pub fn failure(&self, broker: &str) -> Failure {
        let what = match self.status {
            429 => "too many requests",
            _ if self.is_temporary() => "the broker made no decision",
            _ if self.is_fault() => "the broker failed",
            _ => "the broker refused",
        };
        let mut message = format!("{what}: {}", self.describe());
        if let (true, Some(pause)) = (self.is_temporary(), self.retry_after) {
            message = format!("{message}; asked to wait {} s", pause.as_secs());
        }
        if self.tries > 1 {
            message = format!("{message} ({} tries)", self.tries);
        }
        let failure = match self.is_temporary() || self.is_fault() {
            true => Failure::unreachable(message),
            false => Failure::refused(message),
        };
        match self.hint(broker) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::http::Settings;
    use crate::client::retry::Limits;

    const BROKER: &str = "https://broker.example";

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, body: body.as_bytes().to_vec(), tries: 1, ..Reply::default() }
    }

    fn failure(reply: Reply) -> Failure {
        read(reply, "e").unwrap().into_issued(BROKER).unwrap_err()
    }

    #[test]
    fn refusal_shows_error_description_and_ids() {
        let body = r#"{"error":"invalid_target","error_description":"no such audience","decision_id":"d1"}"#;
        let refused = failure(reply(400, body));
        assert_eq!(refused.message, "the broker refused: invalid_target: no such audience (decision d1)");
        assert_eq!(refused.code, 1);
        let refused = failure(Reply { request_id: Some("r1".to_owned()), ..reply(400, body) });
        assert_eq!(refused.message, "the broker refused: invalid_target: no such audience (decision d1, request r1)");
    }

    #[test]
    fn ids_in_the_description_are_not_repeated() {
        let body = r#"{"error":"invalid_target","error_description":"no (decision d1)","decision_id":"d1"}"#;
        assert_eq!(failure(reply(400, body)).message, "the broker refused: invalid_target: no (decision d1)");
    }

    #[test]
    fn rejects_responses_that_are_not_oauth() {
        for (status, body) in [
            (200, "<html>"),
            (404, "not found"),
            (302, ""),
            (200, r#"{"access_token":"a b","issued_token_type":"t","token_type":"Bearer"}"#),
        ] {
            let failure = read(reply(status, body), "e").unwrap_err();
            assert_eq!((failure.code, failure.message), (3, format!("invalid response from e (status {status})")));
            let hint = failure.hint.unwrap();
            assert!(hint.starts_with("a proxy or firewall may have answered, not the broker"), "{hint}");
        }
    }

    #[test]
    fn shows_who_else_may_have_answered() {
        let text = |text: &str| Some(text.to_owned());
        let page = Reply { content_type: text("text/html"), request_id: text("r1"), ..reply(403, "<html>") };
        let shown = read(page, "e").unwrap_err().message;
        assert_eq!(shown, "invalid response from e (status 403, text/html, request r1)");
        let redirect = Reply { location: text("https://login.example/"), ..reply(302, "") };
        let shown = read(redirect, "e").unwrap_err().message;
        assert_eq!(shown, "invalid response from e (status 302, location https://login.example/)");
    }

    #[test]
    fn temporary_error_is_not_a_refusal() {
        for (status, body, code, message) in [
            (503, r#"{"error":"temporarily_unavailable"}"#, 3, "the broker made no decision: temporarily_unavailable"),
            (429, r#"{"error":"slow_down"}"#, 3, "too many requests: slow_down"),
            (429, "<html>", 3, "too many requests: status 429"),
            (502, "<html>", 3, "the broker made no decision: status 502"),
            (504, "", 3, "the broker made no decision: status 504"),
            (500, r#"{"error":"server_error"}"#, 3, "the broker failed: server_error"),
            (400, r#"{"error":"slow_down"}"#, 1, "the broker refused: slow_down"),
        ] {
            let failure = failure(reply(status, body));
            assert_eq!((failure.code, failure.message.as_str()), (code, message));
            assert!(failure.hint.is_some(), "{status} {body}");
        }
    }

    #[test]
    fn failure_says_how_often_and_how_long() {
        let reply = Reply { tries: 3, retry_after: Some(Duration::from_secs(90)), ..reply(429, "") };
        assert_eq!(failure(reply).message, "too many requests: status 429; asked to wait 90 s (3 tries)");
    }

    #[test]
    fn hint_names_both_audiences() {
        let description = Some("the subject token's audience is not this broker (decision d1)".to_owned());
        let error =
            OAuthError { error: "invalid_request".to_owned(), error_description: description, decision_id: None };
        let mut refused = Refused { status: 400, error, ..Refused::default() };
        assert_eq!(refused.hint(BROKER).unwrap(), "request a token whose `aud` is exactly `https://broker.example`");
        refused.wrong_audience = Some("`https://broker.example/`".to_owned());
        let hint = refused.hint(BROKER).unwrap();
        assert!(
            hint.starts_with(
                "the token's `aud` is `https://broker.example/`, and this broker is `https://broker.example`"
            ),
            "{hint}"
        );
    }

    /// Starts a server that sends `answers` in turn, each on its own connection. An empty one is a dropped connection.
    fn server(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = std::thread::spawn(move || {
            let mut forms = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let mut read = 0;
                // The form ends with the audience.
                while !request[..read].ends_with(b"audience=a") {
                    read += stream.read(&mut request[read..]).unwrap();
                }
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                forms.push(text.rsplit("\r\n").next().unwrap().to_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
            forms
        });
        (format!("http://{address}/token"), seen)
    }

    const SLOW_DOWN: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 21\r\nconnection: close\r\n\r\n{\"error\":\"slow_down\"}";
    const ISSUED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 65\r\nconnection: close\r\n\r\n{\"access_token\":\"a.b\",\"issued_token_type\":\"t\",\"token_type\":\"N_A\"}";
    const SPENT: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 124\r\nconnection: close\r\n\r\n{\"error\":\"invalid_request\",\"error_description\":\"the subject token cannot be used: the token was already used (decision d1)\"}";
    const DROPPED: &str = "";

    /// Exchanges at a server with these answers; returns the outcome and the subject tokens that the server saw.
    fn ask(
        answers: &'static [&'static str],
        retries: u32,
        mut next: Option<&str>,
    ) -> (Result<Issued, Failure>, Vec<String>) {
        let request = ExchangeRequest {
            subject_token: "t0",
            subject_token_type: "u",
            actor_token: None,
            audience: "a",
            scopes: &[],
            requested_token_type: None,
            requested_expires_in: None,
            prover: None,
        };
        let (token_endpoint, seen) = server(answers);
        let broker = Broker { issuer: BROKER.into(), token_endpoint, jwks_uri: String::new() };
        let limits = Limits { retries, timeout: Duration::from_secs(60) };
        let http = Http::new(Settings { retries: Some(limits), ..Settings::default() }).unwrap();
        let outcome = exchange(&http, &broker, &request, || Ok(next.take().map(str::to_owned)));
        let forms = seen.join().unwrap().into_iter();
        let tokens =
            forms.map(|form| form.split("subject_token=").nth(1).unwrap().split('&').next().unwrap().to_owned());
        (outcome.and_then(|outcome| outcome.into_issued(BROKER)), tokens.collect())
    }

    #[test]
    fn retries_after_too_many_requests() {
        let (issued, _) = ask(&[SLOW_DOWN, SLOW_DOWN, ISSUED], 2, None);
        assert_eq!(issued.unwrap().access_token, "a.b");
        let (failure, _) = ask(&[SLOW_DOWN, SLOW_DOWN], 1, None);
        let failure = failure.unwrap_err();
        assert_eq!(failure.code, 3);
        assert_eq!(failure.message, "too many requests: slow_down; asked to wait 0 s (2 tries)");
    }

    #[test]
    fn lost_answer_gets_a_new_subject_token() {
        let (issued, tokens) = ask(&[DROPPED, ISSUED], 1, Some("t1"));
        assert_eq!(issued.unwrap().access_token, "a.b");
        assert_eq!(tokens, ["t0", "t1"]);
    }

    #[test]
    fn lost_answer_may_explain_a_spent_token() {
        let (failure, tokens) = ask(&[DROPPED, SPENT], 1, None);
        let hint = failure.unwrap_err().hint.unwrap();
        assert_eq!(hint, "an earlier try, whose answer was lost, may have used the token; get a new one");
        assert_eq!(tokens, ["t0", "t0"]);
        let (failure, _) = ask(&[DROPPED, SPENT], 1, Some("t1"));
        let hint = failure.unwrap_err().hint.unwrap();
        assert!(hint.starts_with("get a new token"), "{hint}");
    }
}
