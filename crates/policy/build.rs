//! Hashes the code that checks bundles, so that a seal is valid only for the version that made it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

/// Everything that a check depends on: this crate, those of the workspace that it uses, the standard schema, and the
/// versions of all dependencies.
const SOURCES: [&str; 9] = [
    "build.rs",
    "src",
    "../claims/src",
    "../json/src",
    "../providers/src",
    "../types/src",
    "../url/src",
    "../../policies/schema.cedarschema",
    "../../Cargo.lock",
];

fn main() -> std::io::Result<()> {
    let mut hash = DefaultHasher::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        add(Path::new(source), &mut hash)?;
    }
    println!("cargo::rustc-env=VOUCHSAFE_POLICY_CODE={:016x}", hash.finish());
    Ok(())
}

fn add(path: &Path, hash: &mut DefaultHasher) -> std::io::Result<()> {
    path.hash(hash);
    if path.is_file() {
        std::fs::read(path)?.hash(hash);
        return Ok(());
    }
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path)?.collect();
    let mut paths: Vec<_> = entries?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    paths.iter().try_for_each(|path| add(path, hash))
}
