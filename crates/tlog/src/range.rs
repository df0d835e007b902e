//! Which leaves each hash of a proof covers (RFC 6962 §2.1.1, §2.1.2).

use std::ops::Range;

/// The ranges of an inclusion proof of leaf `index` in a tree of `size` leaves, from the leaf's sibling to the root's
/// child. None if there is no such leaf.
#[must_use]
pub fn inclusion(index: u64, size: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let mut within = 0..size;
    let mut path = Vec::new();
    while let Some(middle) = middle(&within) {
        let (left, right) = (within.start..middle, middle..within.end);
        let (next, sibling) = if index < middle { (left, right) } else { (right, left) };
        path.push(sibling);
        within = next;
    }
    path.reverse();
    Some(path)
}

/// The ranges of a proof that the tree of `new` leaves extends that of `old`. None if it has fewer.
#[must_use]
pub fn consistency(old: u64, new: u64) -> Option<Vec<Range<u64>>> {
    if old > new {
        return None;
    }
    let mut path = Vec::new();
    if old == 0 {
        return Some(path);
    }
    let (mut within, mut is_old_root) = (0..new, true);
    while old < within.end {
        let Some(middle) = middle(&within) else { break };
        let (left, right) = (within.start..middle, middle..within.end);
        let (next, sibling) = if old <= middle { (left, right) } else { (right, left) };
        is_old_root = is_old_root && old <= middle;
        path.push(sibling);
        within = next;
    }
    // The verifier has the root of the old tree.
    if !is_old_root {
        path.push(within);
    }
    path.reverse();
    Some(path)
}

/// Where the tree of these leaves divides: after the largest power of two below their number. None for one leaf.
fn middle(within: &Range<u64>) -> Option<u64> {
    let size = within.end.saturating_sub(within.start);
    let levels = size.checked_sub(1)?.checked_ilog2()?;
    within.start.checked_add(1_u64.checked_shl(levels)?)
}

/// A complete subtree: the `index`-th of those with 2^`level` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) level: u32,
    pub(crate) index: u64,
}

/// The complete subtrees whose leaves are those of a range that occurs in a tree, from left to right.
pub(crate) fn subtrees(range: &Range<u64>) -> Vec<Node> {
    let (mut start, mut nodes) = (range.start, Vec::new());
    while let Some(level) = range.end.saturating_sub(start).checked_ilog2() {
        nodes.push(Node { level, index: start.checked_shr(level).unwrap_or(0) });
        start = start.saturating_add(1_u64.checked_shl(level).unwrap_or(u64::MAX));
    }
    nodes
}
