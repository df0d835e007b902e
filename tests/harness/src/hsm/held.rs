//! Calls to the module that are held for as long as a test wants (`tests/pkcs11-shim`).

use super::{GatewaySetup, eventually};
use std::path::PathBuf;

impl GatewaySetup {
    /// Has a gateway of [`GatewaySetup::shimmed`] held at `place`, at the call that is the `number`th to
    /// come there, from 1.
    pub fn hold(&self, place: &str, number: u32) {
        // Renamed, so that nobody reads a part of it.
        let beside = self.folder.join("holding");
        std::fs::write(&beside, number.to_string()).expect("a file");
        std::fs::rename(beside, self.folder.join(format!("hold-{place}"))).expect("renames");
    }

    /// Waits until a call is held at `place`.
    pub fn held(&self, place: &str) {
        let file = self.held_file(place);
        eventually(place, || file.exists().then_some(()));
    }

    /// Lets the call at `place` go on.
    pub fn release(&self, place: &str) {
        std::fs::remove_file(self.held_file(place)).expect("it is held");
    }

    fn held_file(&self, place: &str) -> PathBuf {
        self.folder.join(format!("held-{place}"))
    }
}
