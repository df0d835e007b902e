//! What one instance of the signer holds, and who may change it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use vouchsafe_signer::{Algorithm, Epoch, EpochKey};

use super::config::GatewayConfig;
use super::keys::KnownKeys;
use crate::wire::SIGN_PATH;

/// The signer of one instance. It holds nothing of a request.
pub struct GatewaySigner {
    pub(super) config: GatewayConfig,
    pub(super) state: RefCell<State>,
}

/// An epoch key with its generation.
pub(super) type HeldKey = (Rc<EpochKey>, u64);

#[derive(Default)]
pub(super) struct State {
    pub(super) keys: Option<Rc<KnownKeys>>,
    /// The highest that any gateway had. INVARIANT: it never falls, whatever else is forgotten.
    pub(super) generation_seen: u64,
    /// INVARIANT: only epochs that are published, so at most four per algorithm.
    pub(super) epoch_keys: BTreeMap<(Epoch, Algorithm), HeldKey>,
    /// Whether some call fetches keys or a seed. One at a time: they are rare.
    pub(super) fetching: bool,
    /// Until when each gateway is tried last, by its place in the list and what it failed at.
    pub(super) failing_until: BTreeMap<(usize, Concern), u64>,
    /// Why the last call got no answer, where it got none.
    pub(super) outage: Option<String>,
}

/// What a gateway failed at. One whose HSM hangs or is busy has keys and seeds all the same: that is no
/// reason to go on with what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Concern {
    /// Its clock is not ours.
    Clock,
    Keys,
    Signing,
}

impl Concern {
    pub(super) fn of(path: &str) -> Self {
        if path == SIGN_PATH {
            Self::Signing
        } else {
            Self::Keys
        }
    }
}

impl std::fmt::Debug for GatewaySigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GatewaySigner({:?}, ..)", self.config)
    }
}

impl GatewaySigner {
    #[must_use]
    pub fn new(config: GatewayConfig) -> Self {
        Self {
            config,
            state: RefCell::default(),
        }
    }

    pub(super) fn known_keys(&self) -> Option<Rc<KnownKeys>> {
        self.state.borrow().keys.clone()
    }

    pub(super) fn take_turn(&self) -> Option<Turn<'_>> {
        let mut state = self.state.borrow_mut();
        if state.fetching {
            return None;
        }
        state.fetching = true;
        Some(Turn(self))
    }
}

/// The right to fetch; given back also when its call is dropped.
pub(super) struct Turn<'s>(&'s GatewaySigner);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.borrow_mut().fetching = false;
    }
}
