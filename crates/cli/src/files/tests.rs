use super::*;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cli-{name}-{}", std::process::id()))
}

fn set_mode(path: &Path, mode: u32) {
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("a mode");
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("exists").mode() & 0o777
}

#[test]
fn reads_up_to_the_bound() {
    let path = path("bound");
    std::fs::write(&path, "12345").expect("writes");
    assert_eq!(read(&path, 5).expect("reads"), b"12345");
    assert_eq!(*read_text(&path, 5).expect("reads"), "12345");
    let expected = format!("{}: larger than 4 bytes", path.display());
    assert_eq!(read(&path, 4).expect_err("long").message, expected);
    assert_eq!(read_text(&path, 4).expect_err("long").message, expected);
    std::fs::write(&path, b"\xff").expect("writes");
    let message = read_text(&path, 4).expect_err("not text").message;
    assert_eq!(message, format!("{}: not valid UTF-8", path.display()));
    std::fs::remove_file(&path).expect("removes");
}

/// `/dev/zero` claims to be empty and never ends.
#[test]
fn bounds_endless_devices() {
    let endless = Path::new("/dev/zero");
    for message in
        [read(endless, 1024).expect_err("endless").message, read_text(endless, 1024).expect_err("endless").message]
    {
        assert_eq!(message, "/dev/zero: larger than 1024 bytes");
    }
}

#[test]
fn secret_belongs_to_its_owner_or_a_group_of_root() {
    const ROOT: u32 = 0;
    const SERVICE: u32 = 999;
    for (mode, of_root, of_service) in [
        (0o100_400, true, true),
        (0o100_600, true, true),
        (0o100_700, true, true),
        (0o100_640, true, false),
        (0o100_440, true, false),
        (0o100_660, false, false),
        (0o100_650, false, false),
        (0o100_604, false, false),
        (0o100_602, false, false),
        (0o100_601, false, false),
        (0o100_644, false, false),
    ] {
        assert_eq!(is_private(mode, ROOT), of_root, "{mode:o} of root");
        assert_eq!(is_private(mode, SERVICE), of_service, "{mode:o}");
    }
}

#[test]
fn rejects_secrets_that_others_can_read() {
    let path = path("secret");
    std::fs::write(&path, "1234").expect("writes");
    set_mode(&path, 0o644);
    let failure = read_secret(&path, 10).expect_err("is open");
    assert_eq!(failure.message, format!("{}: mode 0644 lets others read or change this secret", path.display()));
    set_mode(&path, 0o600);
    assert_eq!(*read_secret(&path, 10).expect("reads"), "1234");
    std::fs::remove_file(&path).expect("removes");
    // The owner of a device doesn't matter.
    let device = read_secret(Path::new("/dev/null"), 10);
    assert_eq!(*device.expect("reads"), "");
}

#[test]
fn replaces_whole_files_and_keeps_them_private() {
    let directory = path("replace");
    create_private_directory(&directory).expect("creates");
    let file = directory.join("state");
    for content in ["first", "second"] {
        replace(&file, content.as_bytes()).expect("replaces");
        assert_eq!(std::fs::read_to_string(&file).expect("reads"), content);
    }
    assert_eq!((mode(&directory), mode(&file)), (0o700, 0o600));
    assert_eq!(std::fs::read_dir(&directory).expect("lists").count(), 1);
    std::fs::remove_dir_all(&directory).expect("removes");
}

#[test]
fn replaces_secrets_but_nothing_else() {
    let directory = path("replace-secret");
    std::fs::create_dir(&directory).expect("creates");
    let file = directory.join("token");
    std::fs::write(&file, "old").expect("writes");
    set_mode(&file, 0o644);
    let left_behind = directory.join(format!(".token.{}.new", std::process::id()));
    std::os::unix::fs::symlink("elsewhere", &left_behind).expect("links");
    replace_secret(&file, b"new").expect("replaces");
    assert_eq!((std::fs::read_to_string(&file).expect("reads").as_str(), mode(&file)), ("new", 0o600));
    let link = directory.join("link");
    std::os::unix::fs::symlink(&file, &link).expect("links");
    for other in [link.as_path(), directory.as_path(), Path::new("/dev/null")] {
        let refused = |outcome: std::io::Result<()>| outcome.map_err(|error| error.to_string());
        let expected = Err("not a regular file".to_owned());
        assert_eq!(refused(check_replaceable(other)), expected, "{}", other.display());
        assert_eq!(refused(replace_secret(other, b"new")), expected, "{}", other.display());
    }
    for (path, expected) in [
        (file.clone(), None),
        (directory.join("new"), None),
        (directory.join("gone/new"), Some(std::io::ErrorKind::NotFound)),
        (file.join("new"), Some(std::io::ErrorKind::NotADirectory)),
    ] {
        assert_eq!(check_replaceable(&path).map_err(|error| error.kind()).err(), expected, "{}", path.display());
    }
    let names = std::fs::read_dir(&directory).expect("lists").count();
    assert_eq!(names, 2, "the file and the link");
    std::fs::remove_dir_all(&directory).expect("removes");
}

#[test]
fn closes_open_directories() {
    let directory = path("private");
    std::fs::create_dir(&directory).expect("creates");
    set_mode(&directory, 0o755);
    create_private_directory(&directory).expect("exists");
    assert_eq!(mode(&directory), 0o755);
    make_private(&directory).expect("closes");
    assert_eq!(mode(&directory), 0o700);
    std::fs::remove_dir(&directory).expect("removes");
}
