//! Snapshots of what each component imports beyond ambient WASI. The imports of a component are its capabilities, so every
//! change shows in review.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use vouchsafe_manifest::Manifest;
use wasmparser::{Parser, Payload};

/// Imports that grant no capability: those of every component with `std`, which hosts provide empty if they could carry
/// anything, and our own interface that only defines types.
const AMBIENT: &[&str] =
    &["vouchsafe:types/types@", "wasi:cli/", "wasi:clocks/", "wasi:http/types@", "wasi:io/", "wasi:random/"];

/// Manifests that select components.
const MANIFESTS: [&str; 3] = ["spin.toml", "spin.hsm.toml", "spin.postgres.toml"];

/// Compares the built components of [`MANIFESTS`] with their snapshots, or writes the snapshots.
pub fn check(root: &Path, bless: bool) -> Result<Vec<String>> {
    let folder = root.join("tests/snapshots/imports");
    let mut faults = Vec::new();
    let mut expected_files = BTreeSet::new();
    for (id, path) in components(root)? {
        let wasm = std::fs::read(&path)
            .with_context(|| format!("{}: build the component first (`scripts/up` does)", path.display()))?;
        let found = capabilities(&wasm).with_context(|| path.display().to_string())?;
        let file = folder.join(format!("{id}.txt"));
        expected_files.insert(format!("{id}.txt"));
        if bless {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&file, text(&found))?;
        } else {
            let snapshot = std::fs::read_to_string(&file).unwrap_or_default();
            faults.extend(differences(&id, &snapshot, &found));
        }
    }
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !expected_files.contains(&name) {
            faults.push(format!("tests/snapshots/imports/{name} belongs to no component of a manifest"));
        }
    }
    Ok(faults)
}

fn components(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut components = BTreeMap::new();
    for name in MANIFESTS {
        let manifest = Manifest::parse(&std::fs::read_to_string(root.join(name))?).with_context(|| name.to_owned())?;
        let dependencies = manifest.root()?.dependencies.iter().map(|dependency| dependency.component.as_str());
        for id in dependencies.chain([manifest.root_id()]) {
            let component = manifest.component(id)?;
            components.insert(id.to_owned(), root.join(&component.source));
            if let Some(source) = &component.host_crypto_source {
                components.insert(format!("{id}-host-crypto"), root.join(source));
            }
        }
    }
    Ok(components)
}

/// Imports of the component itself without nested components, and without patch versions.
fn capabilities(wasm: &[u8]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let name = import?.name.name;
                    if !AMBIENT.iter().any(|prefix| name.starts_with(prefix)) {
                        found.insert(without_patch(name));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn without_patch(name: &str) -> String {
    match name.split_once('@') {
        Some((interface, version)) => {
            let kept: Vec<&str> = version.splitn(3, '.').take(2).collect();
            format!("{interface}@{}", kept.join("."))
        }
        None => name.to_owned(),
    }
}

fn text(found: &BTreeSet<String>) -> String {
    found.iter().map(|import| format!("{import}\n")).collect()
}

fn differences(id: &str, snapshot: &str, found: &BTreeSet<String>) -> Vec<String> {
    let expected: BTreeSet<String> = snapshot.lines().map(str::to_owned).collect();
    let added = found.difference(&expected).map(|import| format!("component `{id}` now imports `{import}`"));
    let gone = expected.difference(found).map(|import| format!("component `{id}` no longer imports `{import}`"));
    added.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_patch_versions() {
        for (name, expected) in [
            ("wasi:http/client@0.3.0", "wasi:http/client@0.3"),
            ("wasi:filesystem/types@0.2.12", "wasi:filesystem/types@0.2"),
            ("a:b/c@1.0.0-rc.1", "a:b/c@1.0"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_patch(name), expected);
        }
    }

    #[test]
    fn reports_added_and_removed_imports() {
        let found = BTreeSet::from(["a".to_owned(), "c".to_owned()]);
        assert_eq!(
            differences("x", "a\nb\n", &found),
            ["component `x` now imports `c`", "component `x` no longer imports `b`"]
        );
        assert!(differences("x", "a\nc\n", &found).is_empty());
    }
}
