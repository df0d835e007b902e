//! Tokens that later commands may use again: private files, one for each kind of request of each workload.
//!
//! The folder is `vouchsafe` in XDG_RUNTIME_DIR, or else `vouchsafe-<user id>` in the folder of temporary files. Both
//! are empty after a restart of the machine, and no CI system archives them as it may archive `~/.cache`.

use super::base64url;
use super::exchange::Issued;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use vouchsafe_cli::{Failure, files};

/// A cached token is used until this long before it expires.
const SPARE_SECONDS: u64 = 60;
const ENTRY_BYTES_MAX: u64 = 64 * 1024;
/// Files that nobody changed for so long are removed.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Claims of a subject token that differ between two tokens of one workload.
const VARYING_CLAIMS: [&str; 4] = ["exp", "iat", "jti", "nbf"];

/// All that the broker's answer depends on.
#[derive(Serialize)]
pub struct Key<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub scopes: &'a [String],
    pub requested_token_type: Option<&'a str>,
    pub requested_expires_in: Option<u64>,
    pub subject_token_type: &'a str,
    /// What the subject token says of the workload: see [`workload`].
    pub workload: String,
    /// The same of the actor token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

impl Key<'_> {
    /// A file's name that reveals nothing.
    fn name(&self) -> Result<String, Failure> {
        let text = serde_json::to_vec(self).map_err(|error| Failure::refused(error.to_string()))?;
        Ok(base64url::encode(ring::digest::digest(&ring::digest::SHA256, &text).as_ref()))
    }
}

/// What a subject token says of the workload, without what differs between its tokens. A runner's jobs share a user, and
/// one must never get the token of another: so the claims are the key, and not the name of the platform. A token that
/// can't be read is its own key.
pub fn workload(subject_token: &str) -> String {
    let claims = || {
        let payload = base64url::decode(subject_token.split('.').nth(1)?)?;
        let mut claims: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&payload).ok()?;
        VARYING_CLAIMS.iter().for_each(|name| drop(claims.remove(*name)));
        serde_json::to_string(&claims).ok()
    };
    claims().unwrap_or_else(|| subject_token.to_owned())
}

/// A token with the time of its issue and of its end, in Unix seconds by this machine's clock.
#[derive(Deserialize, Serialize)]
struct Entry {
    response: Issued,
    issued: u64,
    expires: u64,
}

/// The place of one token, which no other process uses meanwhile.
pub struct Slot {
    path: PathBuf,
    /// Locked until it is closed.
    _lock: File,
}

impl Slot {
    /// Waits until no other process uses the same slot.
    pub fn open(key: &Key) -> Result<Self, Failure> {
        Self::open_in(&folder(), key)
    }

    fn open_in(folder: &Path, key: &Key) -> Result<Self, Failure> {
        make_private(folder)?;
        remove_old(folder);
        let path = folder.join(key.name()?);
        let lock_path = path.with_extension("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        Ok(Self { _lock: lock.map_err(|error| Failure::state(&lock_path, error))?, path })
    }

    /// The token, if it is good for another minute, and when it expires.
    pub fn read(&self, now: u64) -> Option<(Issued, u64)> {
        let text = files::read_secret(&self.path, ENTRY_BYTES_MAX).ok()?;
        let Entry { mut response, issued, expires } = serde_json::from_str(&text).ok()?;
        if now < issued || now.saturating_add(SPARE_SECONDS) >= expires {
            return None;
        }
        response.expires_in = Some(expires - now);
        Some((response, expires))
    }

    pub fn write(&self, response: &Issued, issued: u64, expires: u64) -> Result<(), Failure> {
        let entry = serde_json::json!({ "response": response, "issued": issued, "expires": expires });
        let written = files::replace_secret(&self.path, entry.to_string().as_bytes());
        written.map_err(|error| Failure::state(&self.path, error))
    }
}

fn folder() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    match runtime {
        Some(runtime) => runtime.join("vouchsafe"),
        None => std::env::temp_dir().join(format!("vouchsafe-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Creates the folder. One that somebody else made, or could write to, may hold tokens of an attacker's choice.
fn make_private(folder: &Path) -> Result<(), Failure> {
    files::create_private_directory(folder).map_err(|error| Failure::state(folder, error))?;
    let found = std::fs::symlink_metadata(folder).map_err(|error| Failure::state(folder, error))?;
    let wrong = |why: String| Failure::file(folder, why).hint("remove it, or leave out --cache");
    if !found.is_dir() {
        return Err(wrong("not a folder".to_owned()));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(wrong(format!("belongs to the user with id {}", found.uid())));
    }
    if found.mode() & 0o077 != 0 {
        return Err(wrong(format!("mode {:04o} lets others read or change the cached tokens", found.mode() & 0o777)));
    }
    Ok(())
}

/// Removes what is long expired. It may take away a lock that somebody waits for, who then exchanges a token twice.
fn remove_old(folder: &Path) {
    let is_old = |path: &Path| {
        let changed = std::fs::symlink_metadata(path).and_then(|found| found.modified());
        changed.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| is_old(path)).for_each(|path| drop(std::fs::remove_file(path)));
}

#[cfg(test)]
mod tests;
