//! The license texts of everything that is compiled into a release archive.

use crate::metadata::locked_packages;
use crate::sbom::{self, Archive};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Beginnings of the names of files with a license, in lowercase.
const NAMES: [&str; 6] = ["copying", "copyright", "licence", "license", "notice", "unlicense"];

/// Every license text once, with the crates that it comes with.
pub fn of(root: &Path, archive: Archive) -> Result<String> {
    let crates = sbom::crates(root, archive)?;
    let packages = locked_packages(root)?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut without = Vec::new();
    for one in crates {
        let package = packages.iter().find(|it| it.name == one.name && it.version == one.version);
        let Some(package) = package.filter(|it| !it.folder().starts_with(root)) else {
            continue;
        };
        let label = format!("{} {}", one.name, one.version);
        let files = license_files(package.folder())?;
        if files.is_empty() {
            without.push(format!("{label}: {}", one.license));
        }
        for file in files {
            let text = String::from_utf8_lossy(&std::fs::read(file)?).trim().to_owned();
            let labels = texts.entry(text).or_default();
            if labels.last() != Some(&label) {
                labels.push(label.clone());
            }
        }
    }
    let mut out = "Licenses of the libraries in this archive\n".to_owned();
    if !without.is_empty() {
        write!(out, "\nLibraries whose source package has no license text:\n{}\n", without.join("\n"))?;
    }
    for (text, labels) in texts {
        write!(out, "\n{}\n{}\n\n{text}\n", "-".repeat(80), labels.join(", "))?;
    }
    Ok(out)
}

/// In the package's folder, and in those of the C sources that it contains.
fn license_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => folders.push(path),
            false => found.push(path),
        }
    }
    for folder in folders {
        for entry in std::fs::read_dir(folder)? {
            found.push(entry?.path());
        }
    }
    let is_license = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_lowercase();
        let is_text = path.extension().is_none_or(|kind| kind != "rs" && kind != "html");
        path.is_file() && is_text && NAMES.iter().any(|start| name.starts_with(start))
    };
    found.retain(is_license);
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_have_each_license_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
        let text = of(&root, Archive::VouchsafeClient).unwrap();
        let ring = "Copyright 2015-2025 Brian Smith.";
        assert_eq!(text.matches(ring).count(), 1, "ring's license");
        assert!(!text.contains(&root.display().to_string()), "no path of this machine");
        let label = text.lines().find(|line| line.contains("ring 0.")).unwrap();
        assert!(label.contains("ring 0.17"), "{label}");
    }
}
