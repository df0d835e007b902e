//! Names the code that checks bundles, so that a seal of one version is nothing to another.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

/// All that a check goes by: this crate, those of ours that it uses, the standard schema, and every
/// dependency's version.
const SOURCES: [&str; 6] = [
    "build.rs",
    "src",
    "../json/src",
    "../providers/src",
    "../../policies/schema.cedarschema",
    "../../Cargo.lock",
];

fn main() -> std::io::Result<()> {
    let mut hash = DefaultHasher::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        add(Path::new(source), &mut hash)?;
    }
    println!(
        "cargo::rustc-env=VOUCHSAFE_POLICY_CODE={:016x}",
        hash.finish()
    );
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
