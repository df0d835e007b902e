//! Small files that are read whole.

use crate::failure::Failure;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// What a secret's file that root owns must not permit: its group may read it, others may nothing.
const FORBIDDEN_OF_ROOT: u32 = 0o037;
/// What any other secret's file must not permit: its owner alone may read it.
const FORBIDDEN: u32 = 0o077;

/// The text of a file of at most `bytes_max` bytes, which may be a pipe or a device too. It may be secret, so
/// no copy of it is left behind in memory where the file said its length.
pub fn read_small(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    let file = File::open(path).map_err(|error| fail(path, &error))?;
    read(path, file, bytes_max)
}

/// The same of a secret: only its owner may read it, or its group where root owns it.
pub fn read_secret(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    let file = File::open(path).map_err(|error| fail(path, &error))?;
    // ORDER: of what was opened, since a name can be given to another file meanwhile.
    let about = file.metadata().map_err(|error| fail(path, &error))?;
    if about.is_file() && !is_private(about.mode(), about.uid()) {
        let mode = about.mode() & 0o777;
        let why = format!("mode {mode:04o} lets others read or change this secret");
        return Err(fail(path, &why).hint(
            "`chmod 600` it; a file that root owns may also be 640, for the group of the gateway's user",
        ));
    }
    read(path, file, bytes_max)
}

/// The rule of PostgreSQL for its TLS key: a service may read by its group what it can't write.
fn is_private(mode: u32, owner: u32) -> bool {
    let forbidden = match owner {
        0 => FORBIDDEN_OF_ROOT,
        _ => FORBIDDEN,
    };
    mode & forbidden == 0
}

fn fail(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {why}", path.display()))
}

fn read(path: &Path, file: File, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    let said = file.metadata().map_or(0, |it| it.len()).min(bytes_max);
    let room = usize::try_from(said).unwrap_or(0).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(room));
    // What a file says of its length need not be so: one byte more than is wanted tells.
    file.take(bytes_max.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|error| fail(path, &error))?;
    match text.len() as u64 > bytes_max {
        true => Err(fail(path, &format!("it has more than {bytes_max} bytes"))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_up_to_a_bound_whatever_a_file_says_of_itself() {
        let path = std::env::temp_dir().join(format!("small-{}", std::process::id()));
        std::fs::write(&path, "12345").expect("writes");
        let read = |path: &Path, max| read_small(path, max).map_err(|it| it.message);
        assert_eq!(*read(&path, 5).expect("reads"), "12345");
        let long = read(&path, 4).expect_err("is too long");
        assert!(long.ends_with("it has more than 4 bytes"), "{long}");
        std::fs::remove_file(&path).expect("removes");
        // It says that it has no bytes, and never ends.
        let endless = read(Path::new("/dev/zero"), 1024).expect_err("is too long");
        assert!(endless.contains("more than 1024 bytes"), "{endless}");
    }

    #[test]
    fn a_secret_is_for_its_owner_or_for_a_group_of_roots() {
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
    fn a_secret_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
        std::fs::write(&path, "1234").expect("writes");
        let set = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("a mode");
        };
        set(0o644);
        let failure = read_secret(&path, 10).map(drop).expect_err("is open");
        assert_eq!(
            failure.message,
            format!(
                "{}: mode 0644 lets others read or change this secret",
                path.display()
            )
        );
        set(0o600);
        assert_eq!(*read_secret(&path, 10).expect("reads"), "1234");
        std::fs::remove_file(&path).expect("removes");
        // What is no file has no owner that would matter.
        let device = read_secret(Path::new("/dev/null"), 10);
        assert_eq!(*device.expect("reads"), "");
    }
}
