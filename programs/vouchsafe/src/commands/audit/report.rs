//! What was verified, and checkpoints compared with recomputed trees.

use super::finding::Finding;
use super::note;
use super::rows::Counts;
use super::tree::Tree;
use std::collections::BTreeMap;
use vouchsafe_tlog::Checkpoint;

/// A checkpoint, and where it comes from.
pub struct Kept {
    pub checkpoint: Checkpoint,
    pub from: String,
    /// The witnesses that cosigned it.
    pub witnesses: Vec<String>,
}

/// What was verified.
#[derive(Default)]
pub struct Report {
    /// Leaves by log.
    pub leaves: BTreeMap<u64, u64>,
    pub counts: Option<Counts>,
    pub findings: Vec<Finding>,
}

/// A tree of `log` that remembers the roots at the sizes of its checkpoints.
pub fn tree_for<'a>(log: u64, kept: impl Iterator<Item = &'a Kept>) -> Tree {
    let of_log = kept.filter(|kept| note::log_of(&kept.checkpoint.origin) == Some(log));
    Tree::with_roots(of_log.map(|kept| kept.checkpoint.size))
}

/// Whether a checkpoint is one of the recomputed tree.
pub fn compare(kept: &Kept, trees: &BTreeMap<u64, Tree>, findings: &mut Vec<Finding>) {
    let Kept { checkpoint: Checkpoint { origin, size, root }, from, .. } = kept;
    let (size, from) = (*size, from.clone());
    let Some(log) = note::log_of(origin) else {
        return findings.push(Finding::Signature { from, why: format!("`{origin}` is not the name of a log") });
    };
    let tree = trees.get(&log);
    let leaves = tree.map_or(0, Tree::size);
    if leaves < size {
        findings.push(Finding::Truncated { log, size, leaves, from });
    } else if tree.and_then(|tree| tree.root(size)) != Some(*root) {
        findings.push(Finding::Checkpoint { log, size, from });
    }
}
