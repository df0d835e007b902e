//! One issuer, and brokers that trust it at any time.

use crate::broker::{Broker, Setup};
use crate::bundle::IssuerFile;
use crate::issuer::Issuer;
use serde_json::Value;

/// Start of a scene: the first second of a minute and of an epoch.
pub const START: u64 = 1_800_000_000;

/// An issuer and the set-up of its brokers, which share one database.
pub struct Scene {
    pub issuer: Issuer,
    pub setup: Setup,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(Issuer::files)
    }

    /// A scene with other issuer files.
    pub fn with(files: impl FnOnce(&Issuer) -> Vec<IssuerFile>) -> Self {
        let issuer = Issuer::honest();
        let setup = Setup::broker(&files(&issuer), &[issuer.origin()]);
        Self { issuer, setup }
    }

    /// Starts a broker whose clock starts `seconds` after [`START`].
    pub fn start_at(&self, seconds: u64) -> Broker {
        self.setup.clone().at_time(START + seconds).start()
    }

    /// Claims that are valid `seconds` after [`START`].
    pub fn claims_at(&self, seconds: u64) -> Value {
        self.issuer.claims(START + seconds)
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}
