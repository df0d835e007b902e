//! Small files: read whole up to a bound, written atomically, and private directories.

use crate::Failure;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Mode of directories that only their owner can use.
const DIRECTORY_MODE: u32 = 0o700;
/// Mode of files that [`replace`] creates.
const FILE_MODE: u32 = 0o600;
/// Permissions that a secret's file must not give if root owns it: its group may read it.
const FORBIDDEN_IF_ROOT: u32 = 0o037;
/// Permissions that any other secret's file must not give.
const FORBIDDEN: u32 = 0o077;

/// Reads a file of at most `bytes_max` bytes. A pipe or a device may claim any length, so the bound holds for what is
/// read.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    read_from(open(path)?, &path.display(), bytes_max)
}

/// Reads all of `source`, or fails if it is longer than `bytes_max`: a prefix might be valid by itself.
pub fn read_from(source: impl Read, name: &dyn Display, bytes_max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let fail = |why: &dyn Display| Failure::usage(format!("{name}: {why}"));
    source.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(fail(&format!("larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Reads a text file of at most `bytes_max` bytes. It may hold a secret, so the text is wiped when it is dropped.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    read_open(path, open(path)?, bytes_max)
}

/// Reads a text file that only its owner can read, or also its group if root owns it.
pub fn read_secret(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    let file = open(path)?;
    // ORDER: checked on the open file, since the path can be given to another file in between.
    let metadata = file.metadata().map_err(|error| Failure::file(path, error))?;
    if metadata.is_file() && !is_private(metadata.mode(), metadata.uid()) {
        let mode = metadata.mode() & 0o777;
        let why = format!("mode {mode:04o} lets others read or change this secret");
        return Err(Failure::file(path, why).hint(
            "run `chmod 600` on it; a file that root owns may also have mode 640, for the group of the service's user",
        ));
    }
    read_open(path, file, bytes_max)
}

/// PostgreSQL's rule for its TLS key: a service may read through its group what it can't write.
fn is_private(mode: u32, owner: u32) -> bool {
    let forbidden = if owner == 0 { FORBIDDEN_IF_ROOT } else { FORBIDDEN };
    mode & forbidden == 0
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::file(path, error))
}

fn read_open(path: &Path, file: File, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    // Room for all of it, so that no copy is left behind where the buffer would grow.
    let length = file.metadata().map_or(0, |it| it.len()).min(bytes_max);
    let capacity = usize::try_from(length).unwrap_or(0).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| Failure::file(path, error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(Failure::file(path, format!("larger than {bytes_max} bytes")));
    }
    // Not a copy: the text takes the buffer over.
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(Failure::file(path, "not valid UTF-8"))
        }
    }
}

/// Replaces a small file atomically and durably: after a crash it has the old content or the new one.
///
/// For private directories; for others there is [`replace_secret`].
pub fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let file = File::options().write(true).create(true).truncate(true).mode(FILE_MODE).open(&draft)?;
    finish(path, &draft, file, content)
}

/// Creates or replaces a file that only its owner can read, as [`replace`] does, in a directory that others may write
/// to. Anything but a file is left alone: a pipe or a device would be replaced too.
pub fn replace_secret(path: &Path, content: &[u8]) -> std::io::Result<()> {
    check_replaceable(path)?;
    let name = path.file_name().ok_or_else(|| std::io::Error::other("not the name of a file"))?;
    let draft = path.with_file_name(format!(".{}.{}.new", name.to_string_lossy(), std::process::id()));
    // One that a killed process left behind.
    drop(std::fs::remove_file(&draft));
    // ORDER: created anew, so that nobody else has it open or chose where it leads.
    let file = File::options().write(true).create_new(true).mode(FILE_MODE).open(&draft)?;
    finish(path, &draft, file, content).inspect_err(|_| drop(std::fs::remove_file(&draft)))
}

/// Whether [`replace_secret`] can write to `path`: a regular file or none, in a directory that exists.
pub fn check_replaceable(path: &Path) -> std::io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(std::io::Error::other("not a regular file"));
    }
    let directory = path.parent().filter(|it| *it != Path::new(""));
    match std::fs::metadata(directory.unwrap_or(Path::new(".")))?.is_dir() {
        true => Ok(()),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    }
}

fn finish(path: &Path, draft: &Path, mut file: File, content: &[u8]) -> std::io::Result<()> {
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    let directory = path.parent().filter(|it| *it != Path::new(""));
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// Creates a directory, and its parents, that only their owner can use. One that exists keeps its mode.
pub fn create_private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Takes a directory's permissions away from everyone but its owner.
pub fn make_private(path: &Path) -> std::io::Result<()> {
    if std::fs::metadata(path)?.permissions().mode() & FORBIDDEN == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(DIRECTORY_MODE))
}

#[cfg(test)]
mod tests;
