//! Holding calls to the module for as long as a test wants (`tests/pkcs11-shim`).

use super::{GatewaySetup, eventually};
use std::path::PathBuf;

impl GatewaySetup {
    /// Makes a gateway of [`GatewaySetup::shimmed`] hold the `number`th call that reaches `place`, counted from 1.
    pub fn hold(&self, place: &str, number: u32) {
        // Renamed, so that nobody reads half of it.
        let beside = self.folder.join("holding");
        std::fs::write(&beside, number.to_string()).expect("a file");
        std::fs::rename(beside, self.folder.join(format!("hold-{place}"))).expect("renames");
    }

    /// Waits until a call is held at `place`.
    pub fn wait_until_held(&self, place: &str) {
        let file = self.held_file(place);
        eventually(place, || file.exists().then_some(()));
    }

    /// Releases the call at `place`.
    pub fn release(&self, place: &str) {
        std::fs::remove_file(self.held_file(place)).expect("it is held");
    }

    fn held_file(&self, place: &str) -> PathBuf {
        self.folder.join(format!("held-{place}"))
    }
}
