//! Small files that are read whole.

use crate::failure::Failure;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use zeroize::Zeroizing;

/// The text of a file of at most `bytes_max` bytes, which may be a pipe or a device too. It may be secret, so
/// no copy of it is left behind in memory where the file said its length.
pub fn read_small(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    let fail = |why: &dyn std::fmt::Display| Failure::usage(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| fail(&error))?;
    let said = file.metadata().map_or(0, |it| it.len()).min(bytes_max);
    let room = usize::try_from(said).unwrap_or(0).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(room));
    // What a file says of its length need not be so: one byte more than is wanted tells.
    file.take(bytes_max.saturating_add(1))
        .read_to_string(&mut text)
        .map_err(|error| fail(&error))?;
    match text.len() as u64 > bytes_max {
        true => Err(fail(&format!("it has more than {bytes_max} bytes"))),
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
}
