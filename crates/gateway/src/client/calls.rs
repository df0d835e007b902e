//! One question to whichever gateway answers.

use vouchsafe_signer::{Error, Fault, Variable};

use super::{Answer, GatewaySigner, Network};

/// For how long a gateway that failed is tried last.
pub(super) const FAILING_SECONDS: u64 = 5;

impl GatewaySigner {
    /// Asks one gateway after the other, until one answers with anything but an outage.
    pub(super) async fn call(
        &self,
        path: &str,
        body: Option<String>,
        network: &impl Network,
    ) -> Result<Answer, Error> {
        let now = network.now().0;
        let mut places: Vec<_> = (0..self.config.urls.len()).collect();
        // Stable: among those that work, and among those that don't, the order is the list's.
        places.sort_by_key(|place| self.failed_lately(*place, now));
        let mut causes = Vec::new();
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
            let mut state = self.state.borrow_mut();
            match sent {
                Ok(answer) if answer.status < 500 => {
                    state.failing_until.remove(&place);
                    state.outage = None;
                    return Ok(answer);
                }
                Ok(answer) => causes.push(format!("gateway {url}: status {}", answer.status)),
                Err(cause) => causes.push(format!("gateway {url}: {cause}")),
            }
            let until = now.saturating_add(FAILING_SECONDS);
            state.failing_until.insert(place, until);
        }
        self.state.borrow_mut().outage = Some(causes.join("; "));
        Err(Error::Unavailable)
    }

    fn failed_lately(&self, place: usize, now: u64) -> bool {
        let state = self.state.borrow();
        let until = state.failing_until.get(&place);
        until.is_some_and(|until| now < *until)
    }

    pub(super) fn all_failed_lately(&self, now: u64) -> bool {
        (0..self.config.urls.len()).all(|place| self.failed_lately(place, now))
    }
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
