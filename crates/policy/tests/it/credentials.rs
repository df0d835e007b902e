//! Credentials for fetching issuers' keys: the names of their files, and their content.

use crate::bundles::issuer;
use std::path::{Path, PathBuf};
use vouchsafe_policy::folder::read_credential;

const CREDENTIAL_BYTES_MAX: usize = 16 * 1024;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vouchsafe-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), content).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn restricts_credential_file_names() {
    let longest = "a".repeat(128);
    for name in ["token", "cluster-1.token", "A_b", &longest] {
        for keys in ["discovery = true", "jwks_uri = \"https://idp.example/k\""] {
            let line = format!("keys = {{ {keys}, bearer_file = \"{name}\" }}");
            let issuer = issuer(&line).expect("loads");
            assert_eq!(issuer.credential_file.as_deref(), Some(name));
        }
    }
    let too_long = "a".repeat(129);
    for name in ["", ".", "..", "..data", "../token", "a/b", "a\\\\b", "a b", "ä", &too_long] {
        let refused = issuer(&format!("keys = {{ discovery = true, bearer_file = \"{name}\" }}"));
        let diagnostic = refused.expect_err(name).join("\n");
        let problem = "`bearer_file` must name a file in `/credentials`: 1 to 128 characters of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, not starting with `.`";
        assert!(diagnostic.ends_with(problem), "{name}: {diagnostic}");
    }
}

#[test]
fn refuses_credential_with_pinned_keys() {
    let line = "keys = { pinned = \"keys.json\", expires = \"2027-01-01\", bearer_file = \"token\" }";
    let diagnostics = issuer(line).expect_err("refused").join("\n");
    assert!(diagnostics.contains("`bearer_file` requires one of the first two"), "{diagnostics}");
}

#[test]
fn rereads_and_trims_credential() {
    let folder = Folder::new("credential");
    folder.put("token", "one\n");
    assert_eq!(read_credential(&folder.0, "token"), Ok("one".to_owned()));
    folder.put("token", " two");
    assert_eq!(read_credential(&folder.0, "token"), Ok("two".to_owned()));
    // Like Kubernetes: the file is a link into a folder that is replaced.
    folder.put("..2026", "three");
    let (link, target) = (folder.0.join("linked"), Path::new("..2026"));
    std::os::unix::fs::symlink(target, link).expect("a link");
    assert_eq!(read_credential(&folder.0, "linked"), Ok("three".to_owned()));
}

#[test]
fn reports_unreadable_credential_without_content() {
    let folder = Folder::new("no-credential");
    folder.put("longest", "a".repeat(CREDENTIAL_BYTES_MAX));
    assert!(read_credential(&folder.0, "longest").is_ok());
    folder.put("longer", "a".repeat(CREDENTIAL_BYTES_MAX + 1));
    folder.put("empty", " \n");
    folder.put("binary", [0xff, 0xfe]);
    for (name, why) in [
        ("longer", "has over 16384 bytes"),
        ("empty", "is empty"),
        ("binary", "is not UTF-8"),
        ("missing", "can't be read: No such file or directory (os error 2)"),
    ] {
        let path = folder.0.join(name);
        let expected = format!("`{}` {why}", path.display());
        assert_eq!(read_credential(&folder.0, name), Err(expected));
    }
}
