//! Reading a bundle from a folder.

use std::fs;
use std::path::{Path, PathBuf};
use vouchsafe_policy::limits::FILE_BYTES_MAX;
use vouchsafe_policy::{BundleError, folder};

/// An empty folder for one test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

fn problem(folder: &Path) -> Option<(String, BundleError)> {
    folder::read(folder)
        .err()
        .and_then(|invalid| invalid.diagnostics.into_iter().next())
        .map(|diagnostic| (diagnostic.file, diagnostic.kind))
}

#[test]
fn reads_files_of_all_folders() {
    let root = scratch("folders-all");
    fs::create_dir_all(root.join("tests/a/allow")).expect("made");
    fs::write(root.join("bundle.toml"), "a").expect("written");
    fs::write(root.join("tests/a/allow/one case.toml"), "b").expect("written");
    let files = folder::read(&root).expect("it reads");
    let found: Vec<(&str, &[u8])> = files.iter().collect();
    assert_eq!(found, [("bundle.toml", &b"a"[..]), ("tests/a/allow/one case.toml", b"b")]);
}

#[cfg(unix)]
#[test]
fn refuses_symbolic_links_to_files_and_folders() {
    let root = scratch("folders-links");
    fs::write(root.join("real.toml"), "a").expect("written");
    std::os::unix::fs::symlink("real.toml", root.join("link.toml")).expect("linked");
    assert_eq!(problem(&root), Some(("link.toml".to_owned(), BundleError::SymbolicLink)));
    fs::remove_file(root.join("link.toml")).expect("removed");
    std::os::unix::fs::symlink("/", root.join("rules")).expect("linked");
    assert_eq!(problem(&root), Some(("rules".to_owned(), BundleError::SymbolicLink)));
}

#[cfg(unix)]
#[test]
fn refuses_names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let root = scratch("folders-utf8");
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"a\xff")), "a").expect("written");
    let expected = BundleError::PathInvalid { bytes_max: vouchsafe_policy::limits::PATH_BYTES_MAX };
    assert_eq!(problem(&root).map(|(_, problem)| problem), Some(expected));
}

#[test]
fn refuses_hidden_files_and_folders() {
    let root = scratch("folders-hidden");
    fs::create_dir_all(root.join(".git")).expect("made");
    assert_eq!(problem(&root), Some((".git".to_owned(), BundleError::HiddenFile)));
}

#[test]
fn bounds_file_size_and_depth() {
    let root = scratch("folders-bounds");
    fs::write(root.join("large"), vec![b' '; FILE_BYTES_MAX]).expect("written");
    fs::create_dir_all(root.join("a/b/c")).expect("made");
    assert_eq!(problem(&root), None);
    fs::create_dir_all(root.join("a/b/c/d")).expect("made");
    assert_eq!(problem(&root), Some(("a/b/c/d".to_owned(), BundleError::TooDeep { depth_max: 3 })));
    fs::remove_dir_all(root.join("a")).expect("removed");
    fs::write(root.join("large"), vec![b' '; FILE_BYTES_MAX + 1]).expect("written");
    let expected = BundleError::FileTooLarge { bytes_max: FILE_BYTES_MAX };
    assert_eq!(problem(&root), Some(("large".to_owned(), expected)));
}

#[test]
fn reports_unreadable_folder() {
    let found = problem(Path::new("/nonexistent/bundle"));
    assert!(matches!(found, Some((file, BundleError::CannotRead(_))) if file == "."));
}

#[cfg(unix)]
#[test]
fn reports_all_invalid_entries_up_to_a_limit() {
    let root = scratch("folders-everything");
    fs::create_dir_all(root.join("rules/.hidden")).expect("made");
    fs::write(root.join("large"), vec![b' '; FILE_BYTES_MAX + 1]).expect("written");
    std::os::unix::fs::symlink("large", root.join("link")).expect("linked");
    let said = |root: &Path| folder::read(root).expect_err("it is refused").to_string();
    let expected = format!(
        "large: the file is larger than {FILE_BYTES_MAX} bytes\n\
         link: symbolic links are not allowed in a bundle\n\
         rules/.hidden: hidden files are not allowed in a bundle"
    );
    assert_eq!(said(&root), expected);
    fs::create_dir_all(root.join("a/b/c/d")).expect("made");
    assert!(said(&root).contains("a/b/c/d: folders are nested more than 3 deep"));
}
