//! Record of failed logins, so that retries don't lock the token.
//!
//! A refused PIN is recorded and never tried again, not even by the next gateway. Modules report a wrong PIN with all
//! kinds of errors, so a login that failed otherwise is tried once more and then counts as refused, also for the next
//! gateway. Errors that show that no PIN was compared may repeat forever.

use super::protocol::Pkcs11Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vouchsafe_cli::files;

/// Longest note.
const NOTE_BYTES_MAX: usize = 1024;

/// Notes of failed logins, in files of `state_dir`.
pub struct LoginRecord {
    /// Exists once the PIN was refused.
    refused_file: PathBuf,
    /// Exists after a login that failed, perhaps because of a wrong PIN.
    failed_file: PathBuf,
    known: Mutex<Known>,
}

/// The same in memory, in case it can't be written.
#[derive(Default)]
struct Known {
    refused: Option<String>,
    /// Workers whose login failed since the last success. Each worker tries once and reports it for every call.
    failed_in: Vec<u64>,
}

impl LoginRecord {
    pub fn new(state_dir: &Path) -> Self {
        Self {
            refused_file: state_dir.join("pin-refused"),
            failed_file: state_dir.join("login-failed"),
            known: Mutex::default(),
        }
    }

    /// Why no login may be tried, if so.
    pub fn refusal(&self) -> Option<String> {
        let file = self.refused_file.display();
        match self.refused_file.try_exists() {
            Ok(false) => self.known().refused.clone(),
            Ok(true) => Some(format!("it rejected this PIN before; not retrying until `{file}` is removed")),
            // A file that can't be examined may exist.
            Err(error) => Some(format!(
                "it may have rejected this PIN before; not retrying, because `{file}` cannot be examined: {error}"
            )),
        }
    }

    /// Checks that a refusal could be recorded: no login is tried otherwise.
    pub fn require_writable(&self) -> std::io::Result<()> {
        let probe = self.failed_file.with_file_name("login-check");
        files::replace(&probe, &[b'-'; NOTE_BYTES_MAX])?;
        std::fs::remove_file(probe)
    }

    /// Records how a worker's start or call failed, and returns what it counts as.
    pub fn record_failure(&self, worker: u64, error: &Pkcs11Error) -> Pkcs11Error {
        if let (Pkcs11Error::LoginFailed(_), Some(text)) = (error, self.known().refused.clone()) {
            return Pkcs11Error::PinRefused(text);
        }
        let text = match error {
            Pkcs11Error::PinRefused(text) => text.clone(),
            Pkcs11Error::LoginFailed(text) if self.is_second_failure(worker) => {
                format!("two consecutive logins failed: {text}")
            }
            other => {
                if let Pkcs11Error::LoginFailed(text) = other {
                    let note = format!("A login failed: {text}\nAfter one more failure, no login is tried.\n");
                    self.write(&self.failed_file, &note);
                }
                return other.clone();
            }
        };
        self.known().refused = Some(text.clone());
        let note = format!("The PKCS#11 token rejected the PIN: {text}\nCorrect the PIN, then remove this file.\n");
        self.write(&self.refused_file, &note);
        // The new note replaces the others.
        self.record_success();
        Pkcs11Error::PinRefused(text)
    }

    /// Whether a login failed before that of `worker`.
    fn is_second_failure(&self, worker: u64) -> bool {
        let mut known = self.known();
        if known.failed_in.contains(&worker) {
            return known.failed_in.len() > 1;
        }
        // A file that can't be examined may exist.
        let before = !known.failed_in.is_empty() || self.failed_file.try_exists().unwrap_or(true);
        known.failed_in.push(worker);
        before
    }

    /// Forgets failed logins: a success resets the token's own counter.
    pub fn record_success(&self) {
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

    fn failed() -> Pkcs11Error {
        Pkcs11Error::LoginFailed("GeneralError".to_owned())
    }

    #[test]
    fn tries_no_login_that_cannot_be_recorded() {
        let folder = folder("noted");
        let logins = LoginRecord::new(&folder);
        logins.require_writable().expect("writable");
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 0);
        std::fs::remove_dir_all(&folder).expect("removes");
        assert!(logins.require_writable().is_err());
    }

    #[test]
    fn counts_two_failed_logins_as_a_refused_pin() {
        let folder = folder("second");
        let logins = LoginRecord::new(&folder);
        for _ in 0..3 {
            assert_eq!(logins.record_failure(1, &failed()), failed(), "one try per worker");
        }
        assert_eq!(logins.refusal(), None);
        let refused = logins.record_failure(2, &failed());
        assert!(matches!(refused, Pkcs11Error::PinRefused(_)), "{refused:?}");
        assert!(logins.refusal().is_some());
        assert_eq!(logins.record_failure(2, &failed()), refused, "other sessions of the worker");
        assert!(LoginRecord::new(&folder).refusal().is_some(), "the next gateway");
        std::fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn counts_failed_logins_across_restarts() {
        let folder = folder("restart");
        assert_eq!(LoginRecord::new(&folder).record_failure(1, &failed()), failed());
        let refused = LoginRecord::new(&folder).record_failure(1, &failed());
        assert!(matches!(refused, Pkcs11Error::PinRefused(_)), "{refused:?}");
        std::fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn successful_login_resets_the_count() {
        let folder = folder("row");
        let logins = LoginRecord::new(&folder);
        for worker in 1..9 {
            assert_eq!(logins.record_failure(worker, &failed()), failed());
            logins.record_success();
            assert_eq!(logins.refusal(), None);
        }
        std::fs::remove_dir_all(&folder).expect("removes");
    }

    #[test]
    fn ignores_errors_before_the_pin_check() {
        let folder = folder("other");
        let logins = LoginRecord::new(&folder);
        let error = Pkcs11Error::Module("DeviceError in Login".to_owned());
        for worker in 1..9 {
            assert_eq!(logins.record_failure(worker, &error), error);
        }
        assert_eq!(logins.refusal(), None);
        std::fs::remove_dir_all(&folder).expect("removes");
    }
}
