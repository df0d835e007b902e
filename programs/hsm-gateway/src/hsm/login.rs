//! The one gate in front of everything that logs in: each login may cost one of the token's tries.

use super::{ENDING_MAX, Hsm, HsmError};
use crate::worker::protocol::Fault;
use std::sync::atomic::Ordering::Relaxed;

impl Hsm {
    /// Whether a process that logs in may be started.
    ///
    /// # Errors
    /// Why not: the PIN was refused, a refusal could not be noted, or too many processes have not ended.
    pub fn may_log_in(&self) -> Result<(), HsmError> {
        if let Some(text) = self.logins.refused() {
            return Err(HsmError::Fault(Fault::PinRefused(text)));
        }
        if self.ending.load(Relaxed) >= ENDING_MAX {
            let text = format!("{ENDING_MAX} workers that were killed have not ended");
            return Err(HsmError::Fault(Fault::Module(text)));
        }
        self.logins.can_be_noted().map_err(|error| {
            let text = "no login is tried, since it could not be noted that the PIN was refused";
            HsmError::Fault(Fault::Module(format!("{text}: {error}")))
        })
    }
}
