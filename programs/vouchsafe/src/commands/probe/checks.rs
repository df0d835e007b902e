//! The exchanges that a probe tries, with the expected outcomes.

use crate::client::dev_issuer::{MintOptions, mint};
use crate::client::exchange::{ExchangeRequest, Outcome, exchange};
use crate::client::text::sanitize;
use crate::client::token::{corrupt_signature, rules};
use crate::client::{Broker, Http};
use serde::Serialize;
use serde_json::Map;
use vouchsafe_cli::{Failure, clock};
use vouchsafe_verifier::{Keys, verify};

/// Further in the past than any leeway (60 s at most).
const EXPIRED_SECONDS: i64 = -3600;
const WRONGLY_ISSUED: &str = "the broker must refuse this: stop it, and check its issuers and policies";
/// An audience that no broker offers (RFC 2606 §2).
const UNKNOWN_AUDIENCE: &str = "https://vouchsafe-probe.invalid";

/// A completed check.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub expected: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    /// Identifies the decision in the broker's log and audit trail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Failed,
    NotRun,
    Passed,
}

pub struct DevIssuer<'a> {
    pub http: &'a Http,
    pub url: &'a str,
}

impl DevIssuer<'_> {
    pub fn token(&self, audience: &str, expires_in: Option<i64>) -> Result<String, Failure> {
        let options = MintOptions { audience, algorithm: "RS256", expires_in, shape: "github", claims: Map::new() };
        mint(self.http, self.url, options)
    }
}

pub struct Probe<'a> {
    pub http: &'a Http,
    pub broker: &'a Broker,
    pub audience: &'a str,
    pub scopes: &'a [String],
    pub subject_token: &'a str,
    pub subject_token_type: &'a str,
    pub dev_issuer: Option<DevIssuer<'a>>,
}

impl Probe<'_> {
    /// ORDER: refusals first. If the broker consumes a token that it refuses, the last exchange fails.
    pub fn run(&self) -> Result<Vec<Check>, Failure> {
        Ok(vec![
            self.check_unknown_audience()?,
            self.check_corrupted_signature()?,
            self.check_expired()?,
            self.check_other_audience()?,
            self.check_issuance()?,
        ])
    }

    fn check_unknown_audience(&self) -> Result<Check, Failure> {
        let outcome = self.exchange(self.subject_token, UNKNOWN_AUDIENCE)?;
        Ok(expect_refusal("unknown audience", "invalid_target", &outcome))
    }

    fn check_corrupted_signature(&self) -> Result<Check, Failure> {
        let name = "tampered signature";
        let token = corrupt_signature(self.subject_token)
            .ok_or_else(|| Failure::usage("the subject token is not a signed JWT"))?;
        Ok(expect_refusal(name, "invalid_request", &self.exchange(&token, self.audience)?))
    }

    fn check_expired(&self) -> Result<Check, Failure> {
        let token = |issuer: &DevIssuer| issuer.token(&self.broker.issuer, Some(EXPIRED_SECONDS));
        self.check_dev_issuer_token("expired subject token", token)
    }

    fn check_other_audience(&self) -> Result<Check, Failure> {
        let token = |issuer: &DevIssuer| issuer.token(UNKNOWN_AUDIENCE, None);
        self.check_dev_issuer_token("subject token for another audience", token)
    }

    fn check_dev_issuer_token(
        &self,
        name: &'static str,
        token: impl Fn(&DevIssuer) -> Result<String, Failure>,
    ) -> Result<Check, Failure> {
        let expected = "invalid_request";
        let Some(issuer) = &self.dev_issuer else {
            let detail = "needs a dev issuer (--dev-issuer)".to_owned();
            return Ok(Check { name, expected, verdict: Verdict::NotRun, detail, decision_id: None, hint: None });
        };
        let outcome = self.exchange(&token(issuer)?, self.audience)?;
        Ok(expect_refusal(name, expected, &outcome))
    }

    fn check_issuance(&self) -> Result<Check, Failure> {
        let outcome = self.exchange(self.subject_token, self.audience)?;
        let checked = match &outcome {
            Outcome::Issued(issued) => self.verify(&issued.access_token)?,
            Outcome::Refused(_) => Err(describe(&outcome)),
        };
        let (verdict, detail) = match checked {
            Ok(detail) => (Verdict::Passed, detail),
            Err(detail) => (Verdict::Failed, detail),
        };
        Ok(Check {
            name: "exchange",
            expected: "a token that verifies",
            verdict,
            detail,
            decision_id: decision_id(&outcome),
            hint: match &outcome {
                Outcome::Refused(refused) => refused.hint(&self.broker.issuer),
                Outcome::Issued(_) => None,
            },
        })
    }

    /// Verifies the issued token as an API would; returns a description of it, or what is wrong.
    fn verify(&self, token: &str) -> Result<Result<String, String>, Failure> {
        let uri = &self.broker.jwks_uri;
        let reply = self.http.get(uri, None)?;
        if !reply.is_success() {
            return Err(reply.unexpected(uri));
        }
        let now = clock::unix_seconds()?;
        let rules = rules(&self.broker.issuer, self.audience, None);
        Ok(match Keys::parse(&reply.body).and_then(|keys| verify(token, &keys, &rules, now)) {
            Ok(token) => Ok(format!(
                "{} by kid {}, valid for {} s",
                token.algorithm,
                token.kid,
                token.expires.saturating_sub(now)
            )),
            Err(error) => Err(format!("the issued token is invalid: {}", error.reason)),
        })
    }

    fn exchange(&self, subject_token: &str, audience: &str) -> Result<Outcome, Failure> {
        let request = ExchangeRequest {
            subject_token,
            subject_token_type: self.subject_token_type,
            actor_token: None,
            audience,
            scopes: self.scopes,
            requested_token_type: None,
            requested_expires_in: None,
            prover: None,
        };
        // Every check is about one token.
        exchange(self.http, self.broker, &request, || Ok(None))
    }
}

/// Passes if the broker refused with exactly this error. An unavailable broker does not pass.
fn expect_refusal(name: &'static str, expected: &'static str, outcome: &Outcome) -> Check {
    let is_expected = matches!(outcome, Outcome::Refused(it) if it.status == 400 && it.error.error == expected);
    let verdict = if is_expected { Verdict::Passed } else { Verdict::Failed };
    Check {
        name,
        expected,
        verdict,
        detail: describe(outcome),
        decision_id: decision_id(outcome),
        hint: matches!(outcome, Outcome::Issued(_)).then(|| WRONGLY_ISSUED.to_owned()),
    }
}

fn decision_id(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Issued(_) => None,
        Outcome::Refused(refused) => refused.error.decision_id.as_deref().map(sanitize),
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Issued(_) => "a token was issued".to_owned(),
        Outcome::Refused(refused) => format!("{} {}", refused.status, refused.describe()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::exchange::{Issued, OAuthError, Refused};

    fn refusal(status: u16, error: &str) -> Outcome {
        let error = OAuthError { error: error.to_owned(), ..OAuthError::default() };
        Outcome::Refused(Refused { status, error, ..Refused::default() })
    }

    #[test]
    fn passes_only_the_expected_refusal() {
        let issued = Issued {
            access_token: "t".to_owned(),
            issued_token_type: "t".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: None,
            scope: None,
        };
        let table = [
            (refusal(400, "invalid_target"), Verdict::Passed),
            (refusal(400, "invalid_request"), Verdict::Failed),
            (refusal(503, "invalid_target"), Verdict::Failed),
            (Outcome::Issued(issued), Verdict::Failed),
        ];
        for (outcome, expected) in table {
            assert_eq!(expect_refusal("x", "invalid_target", &outcome).verdict, expected, "{outcome:?}");
        }
    }

    #[test]
    fn reports_the_decision_id_and_wrongly_issued_tokens() {
        let mut refusal = refusal(400, "invalid_request");
        if let Outcome::Refused(refused) = &mut refusal {
            refused.error.decision_id = Some("d1".to_owned());
        }
        let check = expect_refusal("x", "invalid_target", &refusal);
        assert_eq!(check.decision_id.as_deref(), Some("d1"));
        assert_eq!(check.hint, None);
        let issued = Outcome::Issued(Issued {
            access_token: "secret".to_owned(),
            issued_token_type: "t".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: None,
            scope: None,
        });
        let check = expect_refusal("x", "invalid_target", &issued);
        assert_eq!(check.detail, "a token was issued");
        assert_eq!(check.hint.as_deref(), Some(WRONGLY_ISSUED));
    }
}
