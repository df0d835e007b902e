//! The gateway's condition, for `/readyz` and `/metrics`.

use super::Gateway;
use std::sync::atomic::Ordering::Relaxed;

/// The content of `/readyz`.
pub struct Readiness {
    pub generation: u64,
    /// The generation in `state_dir`: lower if it can't be written.
    pub generation_on_disk: u64,
    pub hsm_is_up: bool,
    /// When delegated tokens can no longer be signed without the HSM, in Unix seconds.
    pub seeds_until: Option<u64>,
    pub seconds_left: u64,
    /// By how much the clock was set, while it is not trusted.
    pub step_seconds: Option<i64>,
    /// Whether the log can't be written: then no seed and no signature is released.
    pub log_fails: bool,
}

impl Readiness {
    /// Why delegated tokens can't be signed now, and what to do; `None` if they can.
    pub fn problem(&self) -> Option<&'static str> {
        if self.step_seconds.is_some() {
            return Some("the clock was set; if it is now correct, send SIGUSR1 or restart, otherwise correct it");
        }
        if self.log_fails {
            return Some("the log cannot be written; free disk space, or find out why the disk is slow");
        }
        if self.generation_on_disk < self.generation {
            return Some("the generation cannot be written to `state_dir`; free disk space");
        }
        self.seeds_until.is_none().then_some("no epoch keys; they are derived once the HSM is up")
    }
}

impl Gateway {
    pub fn readiness(&self) -> Readiness {
        let moment = self.clock.read();
        let now = moment.now;
        let keyring = self.keyring();
        let seeds_until = keyring.seeds_until(now);
        Readiness {
            generation: keyring.generation(),
            hsm_is_up: self.hsm.is_up() && !self.hsm.has_wrong_root() && !self.keys_differ.load(Relaxed),
            generation_on_disk: self.generation_on_disk.load(Relaxed),
            seeds_until,
            seconds_left: seeds_until.unwrap_or(0).saturating_sub(now.0),
            step_seconds: moment.step_seconds,
            log_fails: self.log.is_failing(),
        }
    }

    /// Current values for `/metrics`: name, help text and value.
    pub fn gauges(&self) -> [(&'static str, &'static str, u64); 7] {
        let readiness = self.readiness();
        let step = readiness.step_seconds.map_or(0, i64::unsigned_abs);
        let waiting = u64::try_from(self.hsm.waiting()).unwrap_or(u64::MAX);
        [
            ("hsm_gateway_clock_set_by_seconds", "By how much the clock was set, while it is not trusted.", step),
            ("hsm_gateway_generation", "Current generation of epoch keys.", readiness.generation),
            (
                "hsm_gateway_hsm_up",
                "1 if a worker has the gateway's own PKCS#11 token open.",
                u64::from(readiness.hsm_is_up),
            ),
            ("hsm_gateway_hsm_waiting", "Requests that the module handles or that wait for it.", waiting),
            ("hsm_gateway_log_fails", "1 if the log can't be written.", u64::from(readiness.log_fails)),
            (
                "hsm_gateway_pin_refused",
                "1 if no worker starts until somebody checks the PIN.",
                u64::from(self.hsm.pin_is_refused()),
            ),
            (
                "hsm_gateway_seed_seconds_left",
                "For how long delegated tokens can be signed without the HSM.",
                readiness.seconds_left,
            ),
        ]
    }
}
