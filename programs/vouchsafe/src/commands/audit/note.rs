//! Policies and checkpoints in files, and the signatures on them.

use std::path::Path;
use vouchsafe_cli::{Failure, files};
use vouchsafe_crypto::{Crypto as _, PublicNumbers, Software};
use vouchsafe_tlog::{Accepted, Checkpoint, NOTE_BYTES_MAX, Note, POLICY_BYTES_MAX, Policy};

/// Reads the policy in the file `path`.
pub fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let text = files::read_text(path, POLICY_BYTES_MAX as u64)?;
    let parsed = Policy::parse(&text).map_err(|error| Failure::file(path, error));
    parsed.map_err(|failure| failure.hint("`vouchsafe audit policy` prints one"))
}

/// Reads the checkpoint in the file `path`, which `policy` must accept.
pub fn read_checkpoint(path: &Path, policy: &Policy) -> Result<Accepted, Failure> {
    let text = files::read_text(path, NOTE_BYTES_MAX as u64)?;
    let note = Note::parse(&text).map_err(|error| Failure::file(path, error))?;
    policy.accept(&note, &verify).map_err(|error| Failure::file(path, error))
}

/// The checkpoint of `text`, which one of the policy's logs must have signed; the quorum is of no concern.
pub fn of_log(text: &str, policy: &Policy) -> Result<Checkpoint, String> {
    let note = Note::parse(text).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| error.to_string())?;
    for log in policy.logs.iter().filter(|log| log.key.name() == checkpoint.origin) {
        if note.signed_by(&log.key, &verify).map_err(|error| error.to_string())?.is_some() {
            return Ok(checkpoint);
        }
    }
    Err(format!("no log of the policy signed the checkpoint of `{}`", checkpoint.origin))
}

/// Ed25519.
pub fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let key = Software.verifying_key(PublicNumbers::Ed25519(key));
    key.is_some_and(|key| key.verifies(message, signature))
}

/// The number by which a store names the log with this origin.
pub fn log_of(origin: &str) -> Option<u64> {
    origin.rsplit_once("/log/")?.1.parse().ok()
}
