//! Reads a bundle from a folder, natively and in the policy component alike.
//!
//! The only module that touches a file system. Symbolic links are refused, not followed: what the
//! digest names must be what lies in the folder.

use crate::error::{Finding, Problem};
use crate::files::{BundleFiles, check_path};
use crate::limits::{FILE_BYTES_MAX, FOLDER_DEPTH_MAX, PATH_BYTES_MAX};
use std::fs::{DirEntry, File};
use std::io::Read;
use std::path::Path;

/// Reads every file below `root`.
pub fn read(root: &Path) -> Result<BundleFiles, Finding> {
    let mut files = BundleFiles::default();
    read_folder(root, "", 0, &mut files)?;
    Ok(files)
}

fn read_folder(
    folder: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BundleFiles,
) -> Result<(), Finding> {
    let shown = if prefix.is_empty() { "." } else { prefix };
    if depth > FOLDER_DEPTH_MAX {
        return Err(Finding::of_file(
            shown,
            Problem::TooDeep {
                depth_max: FOLDER_DEPTH_MAX,
            },
        ));
    }
    let entries = std::fs::read_dir(folder).map_err(|error| cannot_read(shown, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| cannot_read(shown, &error))?;
        let path = path_of(&entry, prefix)?;
        check_path(&path)?;
        let kind = entry
            .file_type()
            .map_err(|error| cannot_read(&path, &error))?;
        // ORDER: a symbolic link is refused before anything behind it is looked at.
        if kind.is_symlink() {
            return Err(Finding::of_file(&path, Problem::SymbolicLink));
        }
        if kind.is_dir() {
            read_folder(&entry.path(), &path, depth.saturating_add(1), files)?;
        } else if kind.is_file() {
            let content = read_file(&entry.path()).map_err(|error| cannot_read(&path, &error))?;
            files.add(&path, content)?;
        } else {
            return Err(Finding::of_file(&path, Problem::NotAFile));
        }
    }
    Ok(())
}

fn path_of(entry: &DirEntry, prefix: &str) -> Result<String, Finding> {
    let name = entry.file_name();
    let Some(name) = name.to_str() else {
        let shown = format!("{prefix}/{}", name.to_string_lossy());
        return Err(Finding::of_file(
            &shown,
            Problem::PathInvalid {
                bytes_max: PATH_BYTES_MAX,
            },
        ));
    };
    Ok(if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    })
}

/// Reads one byte more than allowed, so that [`BundleFiles::add`] sees what is too large.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut content)?;
    Ok(content)
}

fn cannot_read(file: &str, error: &std::io::Error) -> Finding {
    Finding::of_file(file, Problem::CannotRead(error.to_string()))
}
