//! Tiles (C2SP tlog-tiles): the levels of the tree in pieces of eight.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use crate::hash::{Frontier, Hash, join};
use crate::range::{Node, subtrees};

/// Hashes in a full tile.
pub const TILE_WIDTH: u64 = 256;
/// Levels of the tree in one level of tiles.
const TILE_LEVELS: u32 = 8;
/// Highest level of tiles that the format has.
const LEVEL_MAX: u8 = 63;
/// Longest path of a tile without its prefix.
const PATH_BYTES_MAX: usize = 64;

/// Which tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileId {
    pub level: u8,
    pub index: u64,
}

impl TileId {
    /// How many hashes the tile has in a tree of `size` leaves.
    #[must_use]
    pub fn width(self, size: u64) -> u64 {
        let at_level = size.checked_shr(u32::from(self.level).saturating_mul(TILE_LEVELS)).unwrap_or(0);
        at_level.saturating_sub(self.index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
    }

    /// The path of the tile with `width` hashes: `<L>/<N>` or `<L>/<N>.p/<W>`.
    #[must_use]
    pub fn path(self, width: u64) -> String {
        let mut groups = vec![self.index % 1000];
        let mut left = self.index / 1000;
        while left > 0 {
            groups.push(left % 1000);
            left /= 1000;
        }
        let mut path = self.level.to_string();
        for (place, group) in groups.iter().enumerate().rev() {
            let mark = if place > 0 { "x" } else { "" };
            // Writing to a string can't fail.
            let _ = write!(path, "/{mark}{group:03}");
        }
        if width < TILE_WIDTH {
            let _ = write!(path, ".p/{width}");
        }
        path
    }

    /// The tile and width that [`Self::path`] wrote.
    #[must_use]
    pub fn parse(path: &str) -> Option<(Self, u64)> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let (tile, width) = match path.split_once(".p/") {
            Some((tile, width)) => (tile, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?),
            None => (path, TILE_WIDTH),
        };
        let (level, groups) = tile.split_once('/')?;
        let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX)?;
        let mut index = 0_u64;
        for group in groups.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            index = index.checked_mul(1000)?.checked_add(digits.parse::<u64>().ok().filter(|group| *group < 1000)?)?;
        }
        let id = Self { level, index };
        (id.path(width) == path).then_some((id, width))
    }
}

/// Tiles that were fetched.
#[derive(Debug, Default)]
pub struct Tiles(BTreeMap<TileId, Vec<Hash>>);

impl Tiles {
    pub fn insert(&mut self, id: TileId, hashes: Vec<Hash>) {
        self.0.insert(id, hashes);
    }

    /// The hashes of `ranges`, as of a proof. None if a tile is missing or too narrow.
    #[must_use]
    pub fn hashes(&self, ranges: &[Range<u64>]) -> Option<Vec<Hash>> {
        let hash = |range| {
            join(subtrees(range).into_iter().map(|node| self.node(node)).collect::<Option<Vec<_>>>()?.into_iter())
        };
        ranges.iter().map(hash).collect()
    }

    /// The root of the tree of `size` leaves, which is at least 1.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        self.hashes(std::slice::from_ref(&(0..size)))?.pop()
    }

    fn node(&self, node: Node) -> Option<Hash> {
        let (id, places) = place(node)?;
        let mut subtree = Frontier::default();
        self.0.get(&id)?.get(places)?.iter().for_each(|hash| subtree.push(*hash));
        Some(subtree.root())
    }
}

/// The tiles that have the hashes of `ranges`.
#[must_use]
pub fn tiles_of(ranges: &[Range<u64>]) -> BTreeSet<TileId> {
    ranges.iter().flat_map(subtrees).filter_map(place).map(|(id, _)| id).collect()
}

/// The tile of a node, and the hashes of that tile which are below the node.
fn place(node: Node) -> Option<(TileId, Range<usize>)> {
    let level = u8::try_from(node.level.checked_div(TILE_LEVELS)?).ok()?;
    let below = node.level.checked_rem(TILE_LEVELS)?;
    let first = node.index.checked_shl(below)?;
    let from = usize::try_from(first % TILE_WIDTH).ok()?;
    let to = from.checked_add(1_usize.checked_shl(below)?)?;
    Some((TileId { level, index: first / TILE_WIDTH }, from..to))
}
