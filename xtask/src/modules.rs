//! Modules of a crate depend on one another in one direction only.
//!
//! The nodes are source files; an inline module belongs to its file, and `#[cfg(test)]` items don't count. A file
//! depends on the file that defines what it names: in a `use`, in a path in code, or in a path inside a macro call.
//! Re-exports are followed, so `use crate::Name` is a dependency on the module that defines `Name`. `mod child;` alone
//! is not a dependency.

mod cycles;
mod paths;
mod tree;

use crate::metadata;
use anyhow::Result;
use paths::Mention;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tree::Tree;

/// Folders whose crates are checked; tests, benches and fuzz targets are not.
const FOLDERS: [&str; 4] = ["components", "crates", "programs", "xtask"];
/// Kinds of targets whose modules are checked.
const KINDS: [&str; 4] = ["bin", "cdylib", "lib", "rlib"];

/// Describes each cycle of each crate.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for package in metadata::members(root)? {
        let folder = package.folder().strip_prefix(root).unwrap_or(package.folder());
        if !FOLDERS.iter().any(|name| folder.starts_with(name)) {
            continue;
        }
        let is_checked = |kind: &String| KINDS.contains(&kind.as_str());
        let targets = package.targets.iter().filter(|target| target.kind.iter().any(is_checked));
        for target in targets {
            faults.extend(check_crate(&target.src_path, root)?);
        }
    }
    Ok(faults)
}

/// Describes each cycle of the crate whose root file is `entry_point`.
fn check_crate(entry_point: &Path, root: &Path) -> Result<Vec<String>> {
    let tree = Tree::read(entry_point)?;
    let graph = Graph::new(&tree, root);
    Ok(cycles::components(&graph.targets()).iter().map(|files| graph.describe(files)).collect())
}

/// What each file mentions of other files: the first mention of each.
struct Graph {
    names: Vec<String>,
    mentions: Vec<BTreeMap<usize, Mention>>,
}

impl Graph {
    fn new(tree: &Tree, root: &Path) -> Self {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).display().to_string();
        let names = tree.files.iter().map(|file| name(&file.path)).collect();
        let mut mentions = vec![BTreeMap::new(); tree.files.len()];
        for (index, file) in tree.files.iter().enumerate() {
            for (target, mention) in paths::mentions(tree, file) {
                if target != index {
                    mentions[index].entry(target).or_insert(mention);
                }
            }
        }
        Self { names, mentions }
    }

    fn targets(&self) -> Vec<BTreeSet<usize>> {
        self.mentions.iter().map(|targets| targets.keys().copied().collect()).collect()
    }

    /// The shortest cycle among `files`, then whatever else ties them together.
    fn describe(&self, files: &BTreeSet<usize>) -> String {
        let cycle = cycles::shortest(&self.targets(), files);
        let next = cycle.iter().skip(1).chain(cycle.first());
        let shown: Vec<_> = cycle.iter().copied().zip(next.copied()).collect();
        let mut text = format!("module cycle of {} files:", cycle.len());
        shown.iter().for_each(|(from, to)| text += &self.line(*from, *to));
        let others: Vec<_> = files
            .iter()
            .flat_map(|from| self.mentions[*from].keys().map(|to| (*from, *to)))
            .filter(|edge| files.contains(&edge.1) && !shown.contains(edge))
            .collect();
        if !others.is_empty() {
            text += &format!("\n  part of a tangle of {} files:", files.len());
            others.iter().for_each(|(from, to)| text += &self.line(*from, *to));
        }
        text
    }

    fn line(&self, from: usize, to: usize) -> String {
        let Mention { line, path } = &self.mentions[from][&to];
        format!("\n  {}:{line} uses `{path}` of {}", self.names[from], self.names[to])
    }
}

#[cfg(test)]
mod tests;
