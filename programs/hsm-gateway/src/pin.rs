//! What is remembered of logins that failed, so that no token is locked by a program that tries again.
//!
//! A refused PIN is written down and never tried again, not even by the next gateway. Modules answer a
//! wrong PIN with all kinds of errors: a login that failed otherwise is tried once more, and refused after
//! that, also by the next gateway. What says that no PIN came to be compared may be repeated for ever.

use crate::worker::protocol::Fault;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vouchsafe_cli::files;

/// No note is longer.
const NOTE_BYTES_MAX: usize = 1024;

/// Notes of failed logins, in files of `state_dir`.
pub struct Logins {
    /// Is there once the PIN was refused.
    refused_file: PathBuf,
    /// Is there after a login that failed with what may have been a wrong PIN.
    failed_file: PathBuf,
    known: Mutex<Known>,
}

/// The same, also where it could not be written down.
#[derive(Default)]
struct Known {
    refused: Option<String>,
    /// Workers whose login failed since one succeeded; each tries once, and says so to all who ask.
    failed_in: Vec<u64>,
}

impl Logins {
    pub fn new(state_dir: &Path) -> Self {
        Self {
            refused_file: state_dir.join("pin-refused"),
            failed_file: state_dir.join("login-failed"),
            known: Mutex::default(),
        }
    }

    /// Why no login may be tried.
    pub fn refused(&self) -> Option<String> {
        let said = |it: &dyn std::fmt::Display| {
            format!("it did so before, and is not asked again while {it} is there")
        };
        match self.refused_file.try_exists() {
            Ok(false) => self.known().refused.clone(),
            Ok(true) => Some(said(&self.refused_file.display())),
            // What can't be looked at may be there.
            Err(error) => Some(format!(
                "{}, and {}: {error}",
                said(&"a note of it"),
                self.refused_file.display()
            )),
        }
    }

    /// Sees to it that a refusal could be noted: no login is tried that could not be remembered.
    ///
    /// # Errors
    /// Why it could not.
    pub fn can_be_noted(&self) -> std::io::Result<()> {
        let probe = self.failed_file.with_file_name("login-check");
        files::replace(&probe, &[b'-'; NOTE_BYTES_MAX])?;
        std::fs::remove_file(probe)
    }

    /// Takes note of what a worker's start or call ended with; gives what it counts as.
    pub fn failed(&self, worker: u64, fault: &Fault) -> Fault {
        if let (Fault::LoginFailed(_), Some(text)) = (fault, self.known().refused.clone()) {
            return Fault::PinRefused(text);
        }
        let text = match fault {
            Fault::PinRefused(text) => text.clone(),
            Fault::LoginFailed(text) if self.is_the_second(worker) => {
                format!("two logins in a row failed: {text}")
            }
            other => {
                if let Fault::LoginFailed(text) = other {
                    let note =
                        format!("A login failed: {text}\nThe next one that does is the last.\n");
                    self.write(&self.failed_file, &note);
                }
                return other.clone();
            }
        };
        self.known().refused = Some(text.clone());
        let note =
            format!("The token refused the PIN: {text}\nCorrect the PIN, then remove this file.\n");
        self.write(&self.refused_file, &note);
        // The note says it all from here on: whoever removes it has looked.
        self.succeeded();
        Fault::PinRefused(text)
    }

    /// Whether a login had failed before the one of `worker`.
    fn is_the_second(&self, worker: u64) -> bool {
        let mut known = self.known();
        if known.failed_in.contains(&worker) {
            return known.failed_in.len() > 1;
        }
        // What can't be looked at may be there.
        let before = !known.failed_in.is_empty() || self.failed_file.try_exists().unwrap_or(true);
        known.failed_in.push(worker);
        before
    }

    /// Forgets failed logins: the token's own count begins anew with one that succeeds.
    pub fn succeeded(&self) {
        self.known().failed_in.clear();
        match std::fs::remove_file(&self.failed_file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                eprintln!("hsm-gateway: {}: {error}", self.failed_file.display());
            }
            _ => {}
        }
    }

    fn write(&self, file: &Path, note: &str) {
        if let Err(error) = files::replace(file, note.as_bytes()) {
            eprintln!("hsm-gateway: {}: {error}", file.display());
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("logins-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn failed() -> Fault {
        Fault::LoginFailed("GeneralError".to_owned())
    }

    #[test]
    fn no_login_is_tried_that_could_not_be_noted() {
        let folder = folder("noted");
        let logins = Logins::new(&folder);
        logins.can_be_noted().expect("can be");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
        std::fs::remove_dir_all(&folder).expect("removes");
        assert!(logins.can_be_noted().is_err());
    }

    #[test]
    fn the_second_failed_login_in_a_row_is_a_refused_pin() {
        let folder = folder("second");
        let logins = Logins::new(&folder);
        for _ in 0..3 {
            assert_eq!(logins.failed(1, &failed()), failed(), "one worker, one try");
        }
        assert_eq!(logins.refused(), None);
        let refused = logins.failed(2, &failed());
        assert!(matches!(refused, Fault::PinRefused(_)), "{refused:?}");
        assert!(logins.refused().is_some());
        assert_eq!(logins.failed(2, &failed()), refused, "its other sessions");
        assert!(Logins::new(&folder).refused().is_some(), "and the next one");
        std::fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn failed_logins_of_gateways_one_after_the_other_count_together() {
        let folder = folder("restart");
        assert_eq!(Logins::new(&folder).failed(1, &failed()), failed());
        let refused = Logins::new(&folder).failed(1, &failed());
        assert!(matches!(refused, Fault::PinRefused(_)), "{refused:?}");
        std::fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn a_login_that_succeeds_ends_the_row() {
        let folder = folder("row");
        let logins = Logins::new(&folder);
        for worker in 1..9 {
            assert_eq!(logins.failed(worker, &failed()), failed());
            logins.succeeded();
            assert_eq!(logins.refused(), None);
        }
        std::fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn what_says_nothing_of_a_pin_is_not_counted() {
        let folder = folder("other");
        let logins = Logins::new(&folder);
        let fault = Fault::Module("DeviceError in Login".to_owned());
        for worker in 1..9 {
            assert_eq!(logins.failed(worker, &fault), fault);
        }
        assert_eq!(logins.refused(), None);
        std::fs::remove_dir_all(&folder).expect("removes");
    }
}
