//! A copy of the bundle, made at start and for each reload, which instances use for all decisions.
//!
//! Each new instance reads the mounted folder. Without a copy, new instances would see edits that old ones don't, and
//! perhaps half-written files.

use crate::application_log::Names;
use crate::directories::private_directory;
use crate::error::HostError;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use vouchsafe_policy::{BundleFiles, folder, with_credentials};
use vouchsafe_policy_tools::lint;
use vouchsafe_serve::log;

/// Path at which guests see the bundle, and which `--policies` replaces.
pub const POLICIES: &str = "/policies";
/// Path at which guests read the `bearer_file` of an issuer.
pub const CREDENTIALS: &str = "/credentials";

/// A bundle that no longer changes.
#[derive(Debug)]
pub struct BundleCopy {
    pub folder: PathBuf,
    pub digest: String,
    pub names: Names,
    /// Whether there was no such copy before.
    pub is_new: bool,
}

/// Copies the bundle in `source` to `<state_dir>/bundles/<digest>`.
pub fn copy(source: &Path, state_dir: &Path, credentials_mounted: bool) -> Result<BundleCopy, HostError> {
    let files = read(source)?;
    if let (false, [first, ..]) = (credentials_mounted, with_credentials(&files).as_slice()) {
        let message = format!("{first}: `bearer_file` is read from {CREDENTIALS}, but nothing is mounted there");
        return Err(HostError::startup(message).hint(format!(
            "add {{ source = \"FOLDER\", destination = \"{CREDENTIALS}\" }} to `files` of the manifest"
        )));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for warning in lint::expiring_keys(&files, now) {
        log!("warning: {warning}");
    }
    let bundles = state_dir.join("bundles");
    private_directory(state_dir)?;
    private_directory(&bundles)?;
    let digest = files.digest();
    let folder = bundles.join(&digest);
    let is_new = !is_copy(&folder, &files);
    if is_new {
        write(&folder, &files).map_err(|error| HostError::startup(format!("{}: {error}", folder.display())))?;
    }
    Ok(BundleCopy { folder, digest, names: Names::of(&files), is_new })
}

fn read(source: &Path) -> Result<BundleFiles, HostError> {
    folder::read(source).map_err(|finding| {
        HostError::startup(format!("cannot read the bundle in {}: {finding}", source.display()))
            .hint("`vouchsafe policy check` reports every error of a bundle")
    })
}

fn is_copy(folder: &Path, files: &BundleFiles) -> bool {
    folder::read(folder).is_ok_and(|copied| copied == *files)
}

/// ORDER: written to a temporary folder and then renamed, so that no process ever sees a partial copy, even after a
/// crash.
fn write(target: &Path, files: &BundleFiles) -> std::io::Result<()> {
    let draft = target.with_extension(std::process::id().to_string());
    remove(&draft)?;
    for (path, content) in files.iter() {
        let path = draft.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&draft))?;
        fs::write(path, content)?;
    }
    remove(target)?;
    match fs::rename(&draft, target) {
        // Another process made the same copy first.
        Err(_) if is_copy(target, files) => remove(&draft),
        renamed => renamed,
    }
}

/// Removes a folder, which need not exist.
pub fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_is_unaffected_by_later_edits() {
        let root = std::env::temp_dir().join(format!("vouchsafe-bundle-{}", std::process::id()));
        let (source, state) = (root.join("policies"), root.join("state"));
        fs::create_dir_all(source.join("rules")).expect("a folder");
        fs::write(source.join("rules/a.cedar"), "// one").expect("a file");
        let copied = || copy(&source, &state, false).expect("a copy");
        let copy_folder = || copied().folder;
        let BundleCopy { folder: first, is_new, .. } = copied();
        assert!(is_new);
        assert_eq!((copied().is_new, copy_folder()), (false, first.clone()));

        fs::write(source.join("rules/a.cedar"), "// two").expect("a file");
        let content = |folder: &Path| fs::read_to_string(folder.join("rules/a.cedar")).expect("a file");
        assert_eq!(content(&first), "// one");
        let second = copy_folder();
        assert_ne!(second, first);
        assert_eq!(content(&second), "// two");

        // A damaged copy is replaced.
        fs::write(second.join("rules/a.cedar"), "// three").expect("a file");
        assert_eq!(content(&copy_folder()), "// two");

        fs::create_dir_all(source.join("issuers")).expect("a folder");
        let text = "keys = { discovery = true, bearer_file = \"token\" }";
        fs::write(source.join("issuers/a.toml"), text).expect("a file");
        let refused = copy(&source, &state, false).expect_err("no credentials");
        let expected = "issuers/a.toml: `bearer_file` is read from /credentials, but nothing is mounted there";
        assert_eq!(refused.message, expected);
        copy(&source, &state, true).expect("a copy");

        fs::write(source.join(".hidden"), "").expect("a file");
        let refused = copy(&source, &state, false).expect_err("a hidden file");
        assert!(refused.message.contains(".hidden"), "{}", refused.message);
        fs::remove_dir_all(root).expect("removed");
    }
}
