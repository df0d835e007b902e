//! `wit/deps` is vendored; it must stay what the locked spin-sdk was generated from.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

const SDK: &str = "spin-sdk";

/// Compares every file under `wit/deps` with the SDK's.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let theirs = sdk_folder(root)?.join("wit/deps");
    let ours = root.join("wit/deps");
    let mut faults = Vec::new();
    for package in folders(&ours)? {
        let (our_files, their_files) = (
            files(&ours.join(&package))?,
            files(&theirs.join(&package)).unwrap_or_default(),
        );
        if their_files.is_empty() {
            faults.push(format!(
                "wit/deps/{package} is not part of the locked {SDK}"
            ));
        } else if our_files != their_files {
            faults.push(format!(
                "wit/deps/{package} differs from the locked {SDK}'s"
            ));
        }
    }
    Ok(faults)
}

/// Where cargo unpacked the locked SDK.
fn sdk_folder(root: &Path) -> Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo metadata")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata without packages")?;
    let sdk = packages
        .iter()
        .find(|package| package["name"] == SDK)
        .context("spin-sdk is not locked")?;
    let manifest = sdk["manifest_path"]
        .as_str()
        .context("a package without a manifest")?;
    Ok(Path::new(manifest)
        .parent()
        .context("a manifest in no folder")?
        .to_path_buf())
}

fn folders(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Names and contents, in the order of names.
fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |name: String| Ok((name.clone(), std::fs::read(folder.join(name))?));
    folders(folder)?.into_iter().map(read).collect()
}
