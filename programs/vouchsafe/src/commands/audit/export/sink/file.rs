//! Lines in a file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use vouchsafe_cli::Failure;

/// Mode of a new file.
const MODE: u32 = 0o600;

/// Appends lines durably. The file is opened each time, so it may be renamed in between.
pub fn append(path: &Path, lines: impl Iterator<Item = String>) -> Result<(), Failure> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    let write = || {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).mode(MODE).open(path)?;
        cut_unfinished(&mut file)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(text.as_bytes())?;
        file.sync_data()
    };
    write().map_err(|error: std::io::Error| Failure::state(path, error))
}

/// Removes a line that a killed process left unfinished: it will be written again.
fn cut_unfinished(file: &mut File) -> std::io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut byte = [0];
    while end > 0 {
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut byte)?;
        if byte == *b"\n" {
            break;
        }
        end -= 1;
    }
    if end < length { file.set_len(end) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_lines_and_cuts_unfinished_one() {
        let path = std::env::temp_dir().join(format!("vouchsafe-lines-{}", std::process::id()));
        let lines = |lines: &[&str]| append(&path, lines.iter().map(|line| (*line).to_owned())).expect("appends");
        let content = || std::fs::read_to_string(&path).expect("reads");
        lines(&["a", "b"]);
        assert_eq!(content(), "a\nb\n");
        std::fs::write(&path, "a\nb\nunfin").expect("writes");
        lines(&["c"]);
        assert_eq!(content(), "a\nb\nc\n");
        std::fs::write(&path, "unfinished").expect("writes");
        lines(&["d"]);
        assert_eq!(content(), "d\n");
        std::fs::remove_file(&path).expect("removes");
        assert!(append(&path.join("no/folder"), std::iter::empty()).is_err());
    }
}
