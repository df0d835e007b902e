//! The bundle that a running host decides with: a copy, taken once at start.
//!
//! Instances come and go while the process lives, and each reads the mounted folder for itself.
//! Without a copy, an edit would reach new instances and not old ones: two policies at once, one of
//! them perhaps half written.

use super::CREDENTIALS;
use super::directories::private_directory;
use crate::commands::Failure;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use vouchsafe_policy::{BundleFiles, folder, with_credentials};
use vouchsafe_policy_tools::lint;

/// Copies the bundle in `source` to `<state_dir>/bundles/<digest>` and gives that folder.
pub fn pinned(
    source: &Path,
    state_dir: &Path,
    credentials_mounted: bool,
) -> Result<PathBuf, Failure> {
    let files = read(source)?;
    if let (false, [first, ..]) = (credentials_mounted, with_credentials(&files).as_slice()) {
        let message =
            format!("{first}: `bearer_file` is read from {CREDENTIALS}, where nothing is");
        return Err(Failure::refused(message).hint(format!(
            "add {{ source = \"FOLDER\", destination = \"{CREDENTIALS}\" }} to `files` of the manifest"
        )));
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    for warning in lint::expiring_keys(&files, now) {
        eprintln!("warning: {warning}");
    }
    let bundles = state_dir.join("bundles");
    private_directory(state_dir)?;
    private_directory(&bundles)?;
    let copy = bundles.join(files.digest());
    if !is_copy(&copy, &files) {
        write(&copy, &files)
            .map_err(|error| Failure::refused(format!("{}: {error}", copy.display())))?;
    }
    Ok(copy)
}

fn read(source: &Path) -> Result<BundleFiles, Failure> {
    folder::read(source).map_err(|finding| {
        Failure::refused(format!("the bundle in {}: {finding}", source.display()))
            .hint("`vouchsafe policy check` says everything that is wrong with a bundle")
    })
}

fn is_copy(copy: &Path, files: &BundleFiles) -> bool {
    folder::read(copy).is_ok_and(|copied| copied == *files)
}

/// ORDER: written beside its place and then renamed, so that another process that starts at the same
/// time, or after a crash, never sees half of it.
fn write(copy: &Path, files: &BundleFiles) -> std::io::Result<()> {
    let draft = copy.with_extension(std::process::id().to_string());
    remove(&draft)?;
    for (path, content) in files.iter() {
        let path = draft.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&draft))?;
        fs::write(path, content)?;
    }
    remove(copy)?;
    match fs::rename(&draft, copy) {
        // Another process was first, with the same content.
        Err(_) if is_copy(copy, files) => remove(&draft),
        renamed => renamed,
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_there_at_start_whatever_becomes_of_the_source() {
        let root = std::env::temp_dir().join(format!("vouchsafe-bundle-{}", std::process::id()));
        let (source, state) = (root.join("policies"), root.join("state"));
        fs::create_dir_all(source.join("rules")).expect("a folder");
        fs::write(source.join("rules/a.cedar"), "// one").expect("a file");
        let first = pinned(&source, &state, false).expect("a copy");
        assert_eq!(pinned(&source, &state, false).expect("again"), first);

        fs::write(source.join("rules/a.cedar"), "// two").expect("a file");
        let content = |copy: &Path| fs::read_to_string(copy.join("rules/a.cedar")).expect("a file");
        assert_eq!(content(&first), "// one");
        let second = pinned(&source, &state, false).expect("a copy");
        assert_ne!(second, first);
        assert_eq!(content(&second), "// two");

        // A damaged copy is made anew.
        fs::write(second.join("rules/a.cedar"), "// three").expect("a file");
        assert_eq!(
            content(&pinned(&source, &state, false).expect("a copy")),
            "// two"
        );

        fs::create_dir_all(source.join("issuers")).expect("a folder");
        let text = "keys = { discovery = true, bearer_file = \"token\" }";
        fs::write(source.join("issuers/a.toml"), text).expect("a file");
        let refused = pinned(&source, &state, false).expect_err("no credentials");
        let expected = "issuers/a.toml: `bearer_file` is read from /credentials, where nothing is";
        assert_eq!(refused.message, expected);
        pinned(&source, &state, true).expect("a copy");

        fs::write(source.join(".hidden"), "").expect("a file");
        let refused = pinned(&source, &state, false).expect_err("a hidden file");
        assert!(refused.message.contains(".hidden"), "{}", refused.message);
        fs::remove_dir_all(root).expect("removed");
    }
}
