//! The state of the gateways, for operators.

use futures_util::future::join_all;
use vouchsafe_types::BackendStatus;

use super::network::{Answer, Network};
use super::state::{Contact, FailureKind, GatewaySigner};
use crate::wire::KEYS_PATH;

/// How long a gateway's last answer counts. Anyone may ask for the state.
pub(super) const CONTACT_SECONDS: u64 = 5;

impl GatewaySigner {
    /// The last known state of the HSM, if any, and how many gateways are up. Asks those that were not asked lately.
    pub async fn backend(&self, network: &impl Network) -> Option<BackendStatus> {
        let keys = self.known_keys()?;
        let now = network.now();
        let count = self.config.urls.len();
        let due: Vec<_> = (0..count).filter(|place| !self.contacted_lately(*place, now.0)).collect();
        for place in &due {
            // ORDER: before asking, so that concurrent calls don't ask too.
            self.note_contact(*place, FailureKind::Keys, now.0, self.was_up(*place));
        }
        let asked = due.into_iter().map(|place| async move { (place, self.has_keys(place, network).await) });
        for (place, up) in join_all(asked).await {
            self.note_contact(place, FailureKind::Keys, now.0, up);
        }
        let up = (0..count).filter(|place| self.was_up(*place)).count();
        Some(BackendStatus {
            generation: keys.generation(),
            seconds_left: keys.seconds_left(now),
            gateways: u32::try_from(count).unwrap_or(u32::MAX),
            gateways_up: u32::try_from(up).unwrap_or(u32::MAX),
        })
    }

    /// Notes whether a gateway had what it was asked for. Signatures don't count: a gateway whose HSM is slow still has
    /// keys and seeds.
    pub(super) fn note_contact(&self, place: usize, kind: FailureKind, at: u64, up: bool) {
        if kind == FailureKind::Keys {
            self.state.borrow_mut().contacts.insert(place, Contact { at, up });
        }
    }

    /// A clock that goes back makes a contact old.
    fn contacted_lately(&self, place: usize, now: u64) -> bool {
        let contact = self.state.borrow().contacts.get(&place).copied();
        contact.is_some_and(|contact| contact.at <= now && now.saturating_sub(contact.at) < CONTACT_SECONDS)
    }

    fn was_up(&self, place: usize) -> bool {
        self.state.borrow().contacts.get(&place).is_some_and(|contact| contact.up)
    }

    async fn has_keys(&self, place: usize, network: &impl Network) -> bool {
        let Some(url) = self.config.urls.get(place) else {
            return false;
        };
        let answer = network.send(&format!("{url}{KEYS_PATH}"), &self.config.credential, None).await;
        let generation_seen = self.state.borrow().generation_seen;
        let usable = |answer: &Answer| self.usable_keys(answer, generation_seen, network.now()).is_ok();
        answer.is_ok_and(|answer| answer.status == 200 && usable(&answer))
    }
}
