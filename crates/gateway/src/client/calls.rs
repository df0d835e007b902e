//! One question to whichever gateway answers.

use std::collections::BTreeMap;

use vouchsafe_signer::{Error, Fault, Variable};

use super::network::{Answer, Network};
use super::state::{Concern, GatewaySigner};
use crate::timing::KEYS_FRESH_SECONDS;

/// For how long a gateway that failed is tried last.
pub(super) const FAILING_SECONDS: u64 = 5;
/// The same for one whose clock is wrong: by then the keys are fetched again, which shows its clock.
pub(super) const SKEWED_SECONDS: u64 = KEYS_FRESH_SECONDS;

/// What is to be thought of a gateway's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// It is behind in generations, or lacks the current epoch's key; another gateway may not.
    Behind,
    /// What it says is not for this signer, or not from a gateway.
    Foreign,
    /// Its clock is not ours; another gateway's may be.
    Skewed,
}

impl GatewaySigner {
    /// Asks one gateway after the other, until one answers with what is wanted or refuses it.
    pub(super) async fn call(
        &self,
        path: &str,
        body: String,
        mut is_wanted: impl FnMut(&[u8]) -> bool,
        network: &impl Network,
    ) -> Result<Answer, Error> {
        let judge = |answer: &Answer| match answer.status {
            200 if !is_wanted(&answer.body) => Verdict::Foreign,
            403 if says(answer, &CLOCK_SLUGS) => Verdict::Skewed,
            _ => Verdict::Taken,
        };
        self.call_until(path, Some(body), network, judge).await
    }

    /// The same until an answer is taken. Where none is because of clocks, all that is known is forgotten: one
    /// of two clocks is wrong, maybe ours.
    pub(super) async fn call_until(
        &self,
        path: &str,
        body: Option<String>,
        network: &impl Network,
        mut judge: impl FnMut(&Answer) -> Verdict,
    ) -> Result<Answer, Error> {
        let (now, concern) = (network.now().0, Concern::of(path));
        let mut places: Vec<_> = (0..self.config.urls.len()).collect();
        // Stable: among those that work, and among those that don't, the order is the list's.
        // One that gave no keys is not worth a try with a signature.
        places.sort_by_key(|place| {
            [concern, Concern::Keys, Concern::Clock]
                .iter()
                .any(|it| self.failed_lately(*place, *it, now))
        });
        let mut skewed = false;
        let mut causes = Vec::new();
        let mut refused = None;
        for place in places {
            let Some(url) = self.config.urls.get(place) else {
                continue;
            };
            let sent = network
                .send(
                    &format!("{url}{path}"),
                    &self.config.credential,
                    body.clone(),
                )
                .await;
            let answer = match sent {
                Ok(answer) if answer.status < 500 => answer,
                outcome => {
                    causes.push(match outcome {
                        Ok(answer) => format!("gateway {url}: status {}", answer.status),
                        Err(cause) => format!("gateway {url}: {cause}"),
                    });
                    self.note_failure(place, concern, now.saturating_add(FAILING_SECONDS));
                    continue;
                }
            };
            if is_of_the_gateway_alone(&answer, concern) {
                causes.push(format!("gateway {url}: status {}", answer.status));
                // What it says is told if no other one has a better answer.
                refused.get_or_insert(answer);
                continue;
            }
            match judge(&answer) {
                Verdict::Taken => {
                    self.note_success(place, concern);
                    return Ok(answer);
                }
                Verdict::Behind => causes.push(format!(
                    "gateway {url}: its generation is over, or it has no key of this epoch"
                )),
                Verdict::Foreign => {
                    causes.push(format!("gateway {url}: its answer is not for this signer"));
                }
                Verdict::Skewed => {
                    skewed = true;
                    causes.push(format!("gateway {url}: its clock is not ours"));
                    let until = now.saturating_add(SKEWED_SECONDS);
                    self.note_failure(place, Concern::Clock, until);
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

    fn note_success(&self, place: usize, concern: Concern) {
        let mut state = self.state.borrow_mut();
        state.failing_until.remove(&(place, concern));
        if concern == Concern::Keys {
            state.failing_until.remove(&(place, Concern::Clock));
        }
        state.outage = None;
    }

    fn note_failure(&self, place: usize, concern: Concern, until: u64) {
        let mut state = self.state.borrow_mut();
        state.failing_until.insert((place, concern), until);
    }

    fn failed_lately(&self, place: usize, concern: Concern, now: u64) -> bool {
        let state = self.state.borrow();
        let until = state.failing_until.get(&(place, concern));
        // A clock that went back must not make a failure last.
        until.is_some_and(|until| now < *until && *until <= now.saturating_add(SKEWED_SECONDS))
    }

    /// Whether no gateway gave keys or seeds when it was last asked, a moment ago.
    pub(super) fn all_failed_lately(&self, now: u64) -> bool {
        (0..self.config.urls.len()).all(|place| self.failed_lately(place, Concern::Keys, now))
    }
}

/// Refusals that only clocks which differ bring about: the signer has held the same times against its own.
const CLOCK_SLUGS: [&str; 2] = ["seed.window", "token.times"];

/// What a gateway refuses for how it is configured, or what is behind it, and not for the request.
const OWN_SLUGS: [&str; 3] = ["group.forbidden", "seed.algorithm", "seed.epoch"];

/// Whether another gateway may say something else: this one may not know the credential yet, or have
/// something in front of it that answers in its place. What a gateway says of one request is not of this kind.
fn is_of_the_gateway_alone(answer: &Answer, concern: Concern) -> bool {
    match answer.status {
        200 => false,
        401 | 404 => true,
        // One that is behind in generations knows no better than one that has too much to do.
        409 | 429 if concern == Concern::Keys => true,
        _ => !is_refusal(answer) || says(answer, &OWN_SLUGS),
    }
}

/// Whether it has the form of a gateway's refusal.
fn is_refusal(answer: &Answer) -> bool {
    let slug = answer.body.strip_prefix(br#"{"error":""#);
    let slug = slug.and_then(|rest| rest.strip_suffix(br#""}"#));
    slug.is_some_and(|it| {
        let mut bytes = it.iter();
        bytes.all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_'))
    })
}

fn says(answer: &Answer, slugs: &[&str]) -> bool {
    slugs
        .iter()
        .any(|slug| answer.body == format!(r#"{{"error":"{slug}"}}"#).as_bytes())
}

/// The body of a 200, or what went wrong.
pub(super) fn accepted(answer: Answer) -> Result<Vec<u8>, Error> {
    match answer.status {
        200 => Ok(answer.body),
        401 => Err(Error::Misconfigured {
            variable: Variable::GatewayToken,
            fault: Fault::NotAccepted,
        }),
        _ => Err(Error::Unavailable),
    }
}
