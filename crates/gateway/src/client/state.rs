//! The state of a signer, and the right to change it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use vouchsafe_crypto::Crypto;
use vouchsafe_signer::{Algorithm, Epoch, EpochKey};

use super::config::GatewayConfig;
use super::keys::KnownKeys;
use crate::wire::SIGN_PATH;

/// A signer with gateways. It keeps no data of requests.
pub struct GatewaySigner {
    pub(super) config: GatewayConfig,
    pub(super) crypto: &'static dyn Crypto,
    pub(super) state: RefCell<State>,
}

/// An epoch key with its generation.
pub(super) type HeldKey = (Rc<EpochKey>, u64);

#[derive(Default)]
pub(super) struct State {
    pub(super) keys: Option<Rc<KnownKeys>>,
    /// The highest generation of any gateway. INVARIANT: never decreases, even if everything else is dropped.
    pub(super) generation_seen: u64,
    /// INVARIANT: only published epochs, so at most four per algorithm.
    pub(super) epoch_keys: BTreeMap<(Epoch, Algorithm), HeldKey>,
    /// Whether a call is fetching keys or a seed. One fetches at a time, because fetches are rare.
    pub(super) fetching: bool,
    /// Until when each gateway is tried last, by its index and the kind of failure.
    pub(super) failing_until: BTreeMap<(usize, FailureKind), u64>,
    /// When each gateway was last asked for keys or a seed, and whether it had them.
    pub(super) contacts: BTreeMap<usize, Contact>,
    /// Why no gateway answered the last call, if none did.
    pub(super) outage: Option<String>,
}

/// The last answer of a gateway to a request for keys or a seed.
#[derive(Clone, Copy)]
pub(super) struct Contact {
    /// Unix seconds.
    pub(super) at: u64,
    pub(super) up: bool,
}

/// What a gateway failed at. A gateway whose HSM hangs or is busy still has keys and seeds, so a failure to sign does not
/// justify using stale keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FailureKind {
    /// Its clock differs from ours.
    Clock,
    Keys,
    Signing,
}

impl FailureKind {
    pub(super) fn of(path: &str) -> Self {
        if path == SIGN_PATH { Self::Signing } else { Self::Keys }
    }
}

impl std::fmt::Debug for GatewaySigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GatewaySigner({:?}, ..)", self.config)
    }
}

impl GatewaySigner {
    #[must_use]
    pub fn new(config: GatewayConfig, crypto: &'static dyn Crypto) -> Self {
        Self { config, crypto, state: RefCell::default() }
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

/// The right to fetch, which returns when the call ends or is dropped.
pub(super) struct Turn<'s>(&'s GatewaySigner);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.borrow_mut().fetching = false;
    }
}
