use super::*;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

const NOW: u64 = 1_800_000_000;

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vouchsafe-cache-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&path));
        Self(path)
    }

    fn slot(&self, key: &Key) -> Slot {
        Slot::open_in(&self.0, key).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn key<'a>() -> Key<'a> {
    Key {
        issuer: "https://broker.example",
        audience: "https://api.example",
        scopes: &[],
        requested_token_type: None,
        requested_expires_in: None,
        subject_token_type: "t",
        workload: "w".to_owned(),
        actor: None,
    }
}

fn issued() -> Issued {
    let text = str::to_owned;
    let (access_token, token_type) = (text("a.b.c"), text("Bearer"));
    Issued { access_token, issued_token_type: text("t"), token_type, expires_in: Some(300), scope: None }
}

fn token(claims: &str) -> String {
    format!("e30.{}.c2ln", base64url::encode(claims.as_bytes()))
}

#[test]
fn token_is_used_until_a_minute_before_expiry() {
    let folder = Folder::new("expiry");
    let slot = folder.slot(&key());
    assert!(slot.read(NOW).is_none());
    slot.write(&issued(), NOW, NOW + 300).unwrap();
    for (now, expected) in [(NOW - 1, None), (NOW, Some(300)), (NOW + 239, Some(61)), (NOW + 240, None)] {
        let found = slot.read(now).map(|(response, expires)| (response.access_token, response.expires_in, expires));
        assert_eq!(found, expected.map(|left| ("a.b.c".to_owned(), Some(left), NOW + 300)), "{now}");
    }
}

#[test]
fn every_part_of_a_request_counts() {
    let scopes = ["read".to_owned()];
    let keys = [
        key(),
        Key { issuer: "https://other.example", ..key() },
        Key { audience: "https://other.example", ..key() },
        Key { scopes: &scopes, ..key() },
        Key { requested_token_type: Some("jwt"), ..key() },
        Key { requested_expires_in: Some(60), ..key() },
        Key { subject_token_type: "u", ..key() },
        Key { workload: "v".to_owned(), ..key() },
        Key { actor: Some("v".to_owned()), ..key() },
    ];
    let names: std::collections::BTreeSet<String> = keys.iter().map(|key| key.name().unwrap()).collect();
    assert_eq!(names.len(), keys.len());
}

#[test]
fn workload_is_what_its_tokens_share() {
    let base = workload(&token(r#"{"sub":"a","repository_id":"1","exp":1,"iat":1,"nbf":1,"jti":"x"}"#));
    assert_eq!(base, workload(&token(r#"{"sub":"a","repository_id":"1","exp":2,"iat":2,"nbf":2,"jti":"y"}"#)));
    assert_ne!(base, workload(&token(r#"{"sub":"a","repository_id":"2","exp":1,"iat":1,"nbf":1,"jti":"x"}"#)));
    assert_ne!(base, workload(&token(r#"{"sub":"a","repository_id":"1","run_id":"1"}"#)));
    assert_eq!(workload("opaque"), "opaque");
    assert_eq!(workload("a.!.c"), "a.!.c");
}

#[test]
fn files_are_private() {
    let folder = Folder::new("private");
    folder.slot(&key()).write(&issued(), NOW, NOW + 300).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    let files: Vec<PathBuf> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.iter().map(|path| mode(path)).collect::<Vec<_>>(), [0o600, 0o600]);
}

#[test]
fn folder_that_others_can_write_is_refused() {
    let folder = Folder::new("open");
    std::fs::create_dir(&folder.0).unwrap();
    for mode in [0o755, 0o701, 0o770] {
        std::fs::set_permissions(&folder.0, Permissions::from_mode(mode)).unwrap();
        let failure = Slot::open_in(&folder.0, &key()).err().unwrap();
        let expected = format!("{}: mode {mode:04o} lets others read or change the cached tokens", folder.0.display());
        assert_eq!((failure.code, failure.message), (2, expected));
    }
}

#[test]
fn link_to_a_folder_is_refused() {
    let (folder, other) = (Folder::new("link"), Folder::new("target"));
    files::create_private_directory(&other.0).unwrap();
    std::os::unix::fs::symlink(&other.0, &folder.0).unwrap();
    let failure = Slot::open_in(&folder.0, &key()).err().unwrap();
    assert_eq!(failure.message, format!("{}: not a folder", folder.0.display()));
    std::fs::remove_file(&folder.0).unwrap();
}

#[test]
fn entry_that_others_could_read_is_not_used() {
    let folder = Folder::new("entry");
    let slot = folder.slot(&key());
    slot.write(&issued(), NOW, NOW + 300).unwrap();
    std::fs::set_permissions(&slot.path, Permissions::from_mode(0o644)).unwrap();
    assert!(slot.read(NOW).is_none());
    std::fs::set_permissions(&slot.path, Permissions::from_mode(0o600)).unwrap();
    assert!(slot.read(NOW).is_some());
}

#[test]
fn old_files_are_removed() {
    let folder = Folder::new("old");
    let slot = folder.slot(&key());
    slot.write(&issued(), NOW, NOW + 300).unwrap();
    let set_age = |seconds| {
        let at = SystemTime::now() - Duration::from_secs(seconds);
        File::options().write(true).open(&slot.path).unwrap().set_modified(at).unwrap();
    };
    set_age(24 * 3600 - 60);
    folder.slot(&Key { audience: "b", ..key() });
    assert!(slot.path.exists());
    set_age(24 * 3600 + 60);
    folder.slot(&Key { audience: "b", ..key() });
    assert!(!slot.path.exists());
}

#[test]
fn second_process_waits_for_the_first() {
    let folder = Folder::new("lock");
    let slot = folder.slot(&key());
    let (entered, waiting) = std::sync::mpsc::channel();
    let (path, other) = (folder.0.clone(), Key { workload: "other".to_owned(), ..key() });
    // Another slot is free meanwhile.
    drop(folder.slot(&other));
    let second = std::thread::spawn(move || {
        entered.send(()).unwrap();
        Slot::open_in(&path, &key()).unwrap().read(NOW).map(|(response, _)| response.access_token)
    });
    waiting.recv().unwrap();
    slot.write(&issued(), NOW, NOW + 300).unwrap();
    drop(slot);
    assert_eq!(second.join().unwrap().as_deref(), Some("a.b.c"));
}
