//! The tree of a log that is recomputed from its leaves.

use std::collections::{BTreeMap, BTreeSet};
use vouchsafe_tlog::{Frontier, Hash, TILE_WIDTH, TileId};

/// A tree that remembers its roots at some sizes, and its tiles above the leaves.
#[derive(Default)]
pub struct Tree {
    frontier: Frontier,
    wanted: BTreeSet<u64>,
    roots: BTreeMap<u64, Hash>,
    /// The tile that is growing, and the finished ones, by level; the first level is that of the leaves.
    growing: Vec<Vec<Hash>>,
    finished: BTreeMap<TileId, Vec<Hash>>,
}

impl Tree {
    /// Remembers the roots of trees with these sizes.
    pub fn with_roots(wanted: impl IntoIterator<Item = u64>) -> Self {
        Self { wanted: wanted.into_iter().collect(), ..Self::default() }
    }

    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub fn push(&mut self, leaf: Hash) {
        self.frontier.push(leaf);
        self.grow(0, leaf);
        if self.wanted.contains(&self.size()) {
            self.roots.insert(self.size(), self.frontier.root());
        }
    }

    fn grow(&mut self, level: u8, hash: Hash) {
        let place = usize::from(level);
        if self.growing.len() <= place {
            self.growing.push(Vec::new());
        }
        self.growing[place].push(hash);
        if self.growing[place].len() as u64 == TILE_WIDTH {
            let tile = std::mem::take(&mut self.growing[place]);
            let mut full = Frontier::default();
            tile.iter().for_each(|hash| full.push(*hash));
            let index = (self.size() >> (8 * (u32::from(level) + 1))) - 1;
            if level > 0 {
                self.finished.insert(TileId { level, index }, tile);
            }
            self.grow(level + 1, full.root());
        }
    }

    /// The root when the tree had `size` leaves, if that was wanted.
    pub fn root(&self, size: u64) -> Option<Hash> {
        self.roots.get(&size).copied()
    }

    /// A tile above the leaves.
    pub fn tile(&self, id: TileId) -> Option<&[Hash]> {
        let growing = || {
            let tile = self.growing.get(usize::from(id.level))?;
            let is_last = id.width(self.size()) == tile.len() as u64 && !tile.is_empty();
            is_last.then_some(tile.as_slice())
        };
        self.finished.get(&id).map(Vec::as_slice).or_else(growing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_tlog::leaf_hash;

    #[test]
    fn remembers_roots_and_tiles() {
        let leaves: Vec<_> = (0_u32..70_000).map(|number| leaf_hash(&number.to_be_bytes())).collect();
        let mut tree = Tree::with_roots([1, 300]);
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        let root = |leaves: &[Hash]| {
            let mut frontier = Frontier::default();
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
            frontier.root()
        };
        assert_eq!((tree.root(1), tree.root(300), tree.root(2)), (Some(leaves[0]), Some(root(&leaves[..300])), None));
        let tile = |level, index| tree.tile(TileId { level, index });
        assert_eq!(tile(1, 0).map(<[Hash]>::len), Some(256));
        assert_eq!(tile(1, 1).map(<[Hash]>::len), Some(17));
        assert_eq!(tile(1, 1).map(|tile| tile[0]), Some(root(&leaves[65_536..65_792])));
        assert_eq!(tile(2, 0), Some([root(&leaves[..65_536])].as_slice()));
        assert_eq!((tile(1, 2), tile(2, 1), tile(3, 0)), (None, None, None));
    }
}
