//! Checks that the vendored `wit/deps` is what the locked spin-sdk was generated from.

use crate::metadata;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

const SDK: &str = "spin-sdk";

/// Compares every file in `wit/deps` with the SDK's.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let theirs = sdk_folder(root)?.join("wit/deps");
    let ours = root.join("wit/deps");
    let mut faults = Vec::new();
    for package in folders(&ours)? {
        let (our_files, their_files) =
            (files(&ours.join(&package))?, files(&theirs.join(&package)).unwrap_or_default());
        if their_files.is_empty() {
            faults.push(format!("wit/deps/{package} is not part of the locked {SDK}"));
        } else if our_files != their_files {
            faults.push(format!("wit/deps/{package} differs from the locked {SDK}'s"));
        }
    }
    Ok(faults)
}

/// Where cargo unpacked the locked SDK.
fn sdk_folder(root: &Path) -> Result<PathBuf> {
    let packages = metadata::locked_packages(root)?;
    let sdk = packages.iter().find(|package| package.name == SDK);
    Ok(sdk.context("spin-sdk is not locked")?.folder().to_path_buf())
}

fn folders(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Names and contents of the files in `folder`, sorted by name.
fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |name: String| Ok((name.clone(), std::fs::read(folder.join(name))?));
    folders(folder)?.into_iter().map(read).collect()
}
