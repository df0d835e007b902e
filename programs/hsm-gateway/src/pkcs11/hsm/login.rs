//! The check before every login: each may cost one of the token's PIN tries.

use super::{EXITING_MAX, Hsm, HsmError};
use crate::pkcs11::protocol::Pkcs11Error;
use std::sync::atomic::Ordering::Relaxed;

impl Hsm {
    /// Checks that a process that logs in may be started.
    ///
    /// # Errors
    /// The PIN was refused, a refusal could not be recorded, or too many killed workers have not exited.
    pub fn require_login_allowed(&self) -> Result<(), HsmError> {
        if let Some(text) = self.logins.refusal() {
            return Err(HsmError::Pkcs11(Pkcs11Error::PinRefused(text)));
        }
        if self.exiting.load(Relaxed) >= EXITING_MAX {
            let text = format!("{EXITING_MAX} killed workers have not exited");
            return Err(HsmError::module(text));
        }
        self.logins.require_writable().map_err(|error| {
            HsmError::module(format!("login not attempted, because a refused PIN could not be recorded: {error}"))
        })
    }
}
