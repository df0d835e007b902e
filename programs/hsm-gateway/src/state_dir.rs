//! The gateway's state directory: private, used by one gateway, and the memory of the highest generation.

use std::path::Path;
use vouchsafe_cli::{Failure, files};

/// Creates the directory, and closes it to others.
pub fn create(path: &Path) -> Result<(), Failure> {
    files::create_private_directory(path).map_err(|error| Failure::state(path, error))?;
    files::make_private(path).map_err(|error| {
        Failure::state(path, error).hint("other users can access `state_dir`: it must belong to the gateway's user")
    })
}

/// Locks the directory for one gateway, until the returned file is dropped.
pub fn lock(path: &Path) -> Result<std::fs::File, Failure> {
    let path = path.join("lock");
    let fail = |error: std::io::Error| Failure::state(&path, error);
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(Failure::state(&path, "another gateway is using this `state_dir`")
                .hint("give each gateway its own `state_dir`"))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(fail(error)),
    }
}

/// Refuses a generation below the highest one seen, and remembers this one.
pub fn remember_generation(state_dir: &Path, generation: u64) -> Result<(), Failure> {
    let path = state_dir.join("generation");
    let fail = |error: std::io::Error| Failure::state(&path, error);
    let seen = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| {
            Failure::file(&path, "not a number")
                .hint("restore it from a backup; without it, an old generation could come back")
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(fail(error)),
    };
    if generation < seen {
        return Err(Failure::refused(format!(
            "the PKCS#11 token's generation is {generation}, but generation {seen} was seen before"
        ))
        .hint("do not put an older PKCS#11 token back into use: its keys may have been revoked"));
    }
    if generation > seen {
        files::replace(&path, format!("{generation}\n").as_bytes()).map_err(fail)?;
    }
    Ok(())
}
