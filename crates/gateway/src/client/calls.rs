//! Calls to the first gateway that answers.

use std::collections::BTreeMap;

use vouchsafe_signer::{Error, Fault, Variable};

use super::network::{Answer, Network};
use super::state::{FailureKind, GatewaySigner};
use crate::timing::KEYS_FRESH_SECONDS;

/// How long a gateway that failed is tried last.
pub(super) const FAILING_SECONDS: u64 = 5;
/// How long a gateway with a wrong clock is tried last. By then the keys are fetched again, which shows its clock.
pub(super) const SKEWED_SECONDS: u64 = KEYS_FRESH_SECONDS;

/// How a gateway's answer is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerKind {
    Taken,
    /// The gateway is behind in generations or lacks the current epoch's key; another one may be better.
    Behind,
    /// The answer is not for this signer or not from a gateway.
    Foreign,
    /// The gateway's clock differs from ours; another one's may not.
    Skewed,
}

impl GatewaySigner {
    /// Asks one gateway after another until one gives a suitable answer or refuses.
    pub(super) async fn call(
        &self,
        path: &str,
        body: String,
        mut is_wanted: impl FnMut(&[u8]) -> bool,
        network: &impl Network,
    ) -> Result<Answer, Error> {
        let judge = |answer: &Answer| match answer.status {
            200 if !is_wanted(&answer.body) => AnswerKind::Foreign,
            403 if says(answer, &CLOCK_SLUGS) => AnswerKind::Skewed,
            _ => AnswerKind::Taken,
        };
        self.call_until(path, Some(body), network, judge).await
    }

    /// Asks one gateway after another until `judge` takes an answer. If clocks prevent that, drops all known keys, because
    /// the wrong clock may be ours.
    pub(super) async fn call_until(
        &self,
        path: &str,
        body: Option<String>,
        network: &impl Network,
        mut judge: impl FnMut(&Answer) -> AnswerKind,
    ) -> Result<Answer, Error> {
        let (now, kind) = (network.now().0, FailureKind::of(path));
        let mut places: Vec<_> = (0..self.config.urls.len()).collect();
        // A stable sort keeps the configured order among working and among failed gateways. A gateway that gave no keys
        // is not tried first for a signature either.
        places.sort_by_key(|place| {
            [kind, FailureKind::Keys, FailureKind::Clock].iter().any(|it| self.failed_lately(*place, *it, now))
        });
        let mut skewed = false;
        let mut causes = Vec::new();
        let mut refused = None;
        for place in places {
            let Some(url) = self.config.urls.get(place) else {
                continue;
            };
            let sent = network.send(&format!("{url}{path}"), &self.config.credential, body.clone()).await;
            let answer = match sent {
                Ok(answer) if answer.status < 500 => answer,
                outcome => {
                    causes.push(match outcome {
                        Ok(answer) => format!("gateway {url}: status {}", answer.status),
                        Err(cause) => format!("gateway {url}: {cause}"),
                    });
                    self.note_failure(place, kind, now.saturating_add(FAILING_SECONDS));
                    self.note_contact(place, kind, now, false);
                    continue;
                }
            };
            if is_of_the_gateway_alone(&answer, kind) {
                causes.push(format!("gateway {url}: status {}", answer.status));
                self.note_contact(place, kind, now, false);
                // This refusal is reported if no other gateway has a better answer.
                refused.get_or_insert(answer);
                continue;
            }
            let judged = judge(&answer);
            self.note_contact(place, kind, now, judged == AnswerKind::Taken);
            match judged {
                AnswerKind::Taken => {
                    self.note_success(place, kind);
                    return Ok(answer);
                }
                AnswerKind::Behind => {
                    causes.push(format!("gateway {url}: superseded generation, or no key of this epoch"))
                }
                AnswerKind::Foreign => {
                    causes.push(format!("gateway {url}: the answer is not for this signer"));
                }
                AnswerKind::Skewed => {
                    skewed = true;
                    causes.push(format!("gateway {url}: its clock differs from the signer's"));
                    let until = now.saturating_add(SKEWED_SECONDS);
                    self.note_failure(place, FailureKind::Clock, until);
                }
            }
        }
        let mut state = self.state.borrow_mut();
        if skewed {
            (state.keys, state.epoch_keys) = (None, BTreeMap::new());
        }
        state.outage = Some(causes.join("; "));
        refused.filter(|_| !skewed).ok_or(Error::Unavailable)
    }

    fn note_success(&self, place: usize, kind: FailureKind) {
        let mut state = self.state.borrow_mut();
        state.failing_until.remove(&(place, kind));
        if kind == FailureKind::Keys {
            state.failing_until.remove(&(place, FailureKind::Clock));
        }
        state.outage = None;
    }

    fn note_failure(&self, place: usize, kind: FailureKind, until: u64) {
        let mut state = self.state.borrow_mut();
        state.failing_until.insert((place, kind), until);
    }

    fn failed_lately(&self, place: usize, kind: FailureKind, now: u64) -> bool {
        let state = self.state.borrow();
        let until = state.failing_until.get(&(place, kind));
        // A clock that goes back must not prolong a failure.
        until.is_some_and(|until| now < *until && *until <= now.saturating_add(SKEWED_SECONDS))
    }

    /// Whether every gateway recently failed to give keys or seeds.
    pub(super) fn all_failed_lately(&self, now: u64) -> bool {
        (0..self.config.urls.len()).all(|place| self.failed_lately(place, FailureKind::Keys, now))
    }
}

/// Refusals that only clock skew can cause, because the signer has checked the same times.
const CLOCK_SLUGS: [&str; 2] = ["seed.window", "token.times"];

/// Refusals that depend on the gateway's configuration and not on the request.
const OWN_SLUGS: [&str; 3] = ["group.forbidden", "seed.algorithm", "seed.epoch"];

/// Whether another gateway may answer differently: this one may not know the credential yet, or a proxy may answer in its
/// place. Refusals that depend on the request are not of this kind.
fn is_of_the_gateway_alone(answer: &Answer, kind: FailureKind) -> bool {
    match answer.status {
        200 => false,
        401 | 404 => true,
        // A gateway that is behind in generations or overloaded.
        409 | 429 if kind == FailureKind::Keys => true,
        _ => !is_refusal(answer) || says(answer, &OWN_SLUGS),
    }
}

/// Whether `answer` has the form of a gateway's refusal.
fn is_refusal(answer: &Answer) -> bool {
    let slug = answer.body.strip_prefix(br#"{"error":""#);
    let slug = slug.and_then(|rest| rest.strip_suffix(br#""}"#));
    slug.is_some_and(|it| {
        let mut bytes = it.iter();
        bytes.all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'))
    })
}

fn says(answer: &Answer, slugs: &[&str]) -> bool {
    slugs.iter().any(|slug| answer.body == format!(r#"{{"error":"{slug}"}}"#).as_bytes())
}

/// The body of an answer with status 200.
pub(super) fn accepted(answer: Answer) -> Result<Vec<u8>, Error> {
    match answer.status {
        200 => Ok(answer.body),
        401 => Err(Error::Misconfigured { variable: Variable::GatewayToken, fault: Fault::NotAccepted }),
        _ => Err(Error::Unavailable),
    }
}
