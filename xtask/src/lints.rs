//! Checks that every member inherits the workspace's lints, and that nothing in `crates/` or `components/` allows panics.

use crate::metadata;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Lints against panics in code that requests reach (I8).
const PANIC_LINTS: [&str; 5] = [
    "clippy::arithmetic_side_effects",
    "clippy::expect_used",
    "clippy::indexing_slicing",
    "clippy::panic",
    "clippy::unwrap_used",
];
/// The only wide exception: tests.
const OF_TESTS: &str = "#![cfg_attr(test,allow(";
/// Folders with code that requests reach.
const STRICT: [&str; 2] = ["crates", "components"];

/// Reports members without the workspace's lints, and forbidden wide exceptions.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let workspace = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let mut faults = undenied(&workspace)?;
    for member in metadata::members(root)? {
        let manifest = &member.manifest_path;
        let shown = manifest.strip_prefix(root).unwrap_or(manifest);
        let text = std::fs::read_to_string(manifest)?;
        if !inherits(&text).with_context(|| shown.display().to_string())? {
            faults.push(format!("{}: `[lints] workspace = true` is missing", shown.display()));
        }
    }
    for folder in STRICT {
        for file in sources(&root.join(folder))? {
            let shown = file.strip_prefix(root).unwrap_or(&file).display();
            let text = std::fs::read_to_string(&file)?;
            let lines = allowed(&text).into_iter();
            faults.extend(lines.map(|line| {
                format!("{shown}:{line}: a panic lint is allowed: use `#[expect(…, reason = …)]` on the statement")
            }));
        }
    }
    Ok(faults)
}

/// Panic lints that the workspace does not deny.
fn undenied(workspace: &str) -> Result<Vec<String>> {
    let manifest: toml::Table = workspace.parse()?;
    let lints =
        manifest["workspace"]["lints"]["clippy"].as_table().context("`[workspace.lints.clippy]` is not a table")?;
    let level = |lint: &str| {
        let name = lint.trim_start_matches("clippy::");
        lints.get(name).and_then(toml::Value::as_str)
    };
    Ok(PANIC_LINTS
        .iter()
        .filter(|lint| level(lint) != Some("deny"))
        .map(|lint| format!("Cargo.toml: `{lint}` is not \"deny\" in the workspace"))
        .collect())
}

fn inherits(manifest: &str) -> Result<bool> {
    let manifest: toml::Table = manifest.parse()?;
    let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    Ok(inherited == Some(&toml::Value::Boolean(true)))
}

/// Groups that contain panic lints, and the lint that only generated bindings may allow.
const GROUPS: [&str; 5] = ["clippy::all", "clippy::restriction", "clippy::pedantic", "warnings", "unsafe_code"];

/// Lines with attributes that allow a panic lint. `expect` is fine, because it has a reason and fails if it is not needed.
fn allowed(source: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut attribute: Option<(usize, String)> = None;
    for (index, line) in source.lines().enumerate() {
        let line = line.trim();
        if attribute.is_none() && (line.starts_with("#[") || line.starts_with("#![")) {
            attribute = Some((index + 1, String::new()));
        }
        let Some((begin, text)) = &mut attribute else {
            continue;
        };
        text.extend(line.chars().filter(|c| !c.is_whitespace()));
        if text.matches('[').count() > text.matches(']').count() {
            continue;
        }
        let is_wide = text.contains("allow(") && !text.starts_with(OF_TESTS);
        let lints = PANIC_LINTS.iter().chain(&GROUPS);
        if is_wide && lints.into_iter().any(|lint| text.contains(lint)) {
            found.push(*begin);
        }
        attribute = None;
    }
    found
}

/// Rust files below `src` folders. Files in `tests` folders next to them are tests.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs")
                && path.components().any(|part| part.as_os_str() == "src")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_inherits_the_lints() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let root = root.canonicalize().unwrap();
        assert_eq!(check(&root).unwrap(), [""; 0]);
        // Not vacuous.
        let members = metadata::members(&root).unwrap();
        for member in ["crates/jose", "components/broker", "fuzz"] {
            let folder = root.join(member);
            assert!(members.iter().any(|it| it.folder() == folder), "{member}");
        }
    }

    #[test]
    fn finds_a_member_without_the_lints() {
        assert!(inherits("[lints]\nworkspace = true\n").unwrap());
        for text in ["", "[lints]\nworkspace = false\n", "[lints.clippy]\npanic = \"deny\"\n"] {
            assert!(!inherits(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn finds_a_panic_lint_that_is_not_denied() {
        let denied = "arithmetic_side_effects = \"deny\"\nexpect_used = \"deny\"\nindexing_slicing = \"deny\"\n\
            unwrap_used = \"deny\"\n";
        let workspace = |last: &str| undenied(&format!("[workspace.lints.clippy]\n{denied}{last}")).unwrap();
        assert_eq!(workspace("panic = \"deny\""), [""; 0]);
        let fault = "Cargo.toml: `clippy::panic` is not \"deny\" in the workspace";
        assert_eq!(workspace("panic = \"warn\""), [fault]);
        assert_eq!(workspace(""), [fault]);
    }

    #[test]
    fn finds_lines_that_allow_a_panic() {
        for (source, expected) in [
            ("#[allow(clippy::unwrap_used)]\nfn f() {}", vec![1]),
            ("#![allow(\n    clippy::panic,\n    clippy::expect_used,\n)]", vec![1]),
            ("#[cfg_attr(unix, allow(clippy::panic))]", vec![1]),
            ("mod a;\n#![cfg_attr(\n  unix,\n  allow(clippy::panic)\n)]", vec![2]),
            ("#![cfg_attr(\n  test,\n  allow(clippy::panic, reason = \"x\")\n)]", vec![]),
            ("#![cfg_attr(test, allow(clippy::panic, reason = \"x\"))]", vec![]),
            ("#[expect(clippy::unwrap_used, reason = \"x\")]\nfn f() {}", vec![]),
            ("#[allow(dead_code)]\nfn f() {} // clippy::panic", vec![]),
            ("// #[allow(clippy::panic)]", vec![]),
        ] {
            assert_eq!(allowed(source), expected, "{source}");
        }
    }
}
