//! Small files that are read whole.

use crate::commands::Failure;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A file of at most `bytes_max` bytes, which may be a pipe or a device too: what it says of its length need
/// not be so.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let file = File::open(path).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    read_from(file, &name, bytes_max)
}

/// All of it, or nothing: what is cut off might be good without its rest.
pub fn read_from(
    source: impl std::io::Read,
    name: &dyn std::fmt::Display,
    bytes_max: u64,
) -> Result<Vec<u8>, Failure> {
    let fail = |why: &dyn std::fmt::Display| Failure::usage(format!("{name}: {why}"));
    let mut bytes = Vec::new();
    let read = source
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes);
    read.map_err(|error| fail(&error))?;
    match bytes.len() as u64 > bytes_max {
        true => Err(fail(&format!("it has more than {bytes_max} bytes"))),
        false => Ok(bytes),
    }
}

/// The same, of text.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, Failure> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|_| Failure::usage(format!("{}: it is no text", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_up_to_a_bound_whatever_a_file_says_of_itself() {
        let path = std::env::temp_dir().join(format!("file-{}", std::process::id()));
        std::fs::write(&path, "12345").expect("writes");
        let read = |path: &Path, max| read_text(path, max).map_err(|it| it.message);
        assert_eq!(read(&path, 5).expect("reads"), "12345");
        let long = read(&path, 4).expect_err("is too long");
        assert!(long.ends_with("it has more than 4 bytes"), "{long}");
        std::fs::write(&path, b"\xff").expect("writes");
        let bytes = read(&path, 4).expect_err("is no text");
        assert!(bytes.ends_with("it is no text"), "{bytes}");
        std::fs::remove_file(&path).expect("removes");
        // It says that it has no bytes, and never ends.
        let endless = read(Path::new("/dev/zero"), 1024).expect_err("is too long");
        assert!(endless.contains("more than 1024 bytes"), "{endless}");
    }
}
