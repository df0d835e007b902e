//! Hashes of leaves and nodes (RFC 6962 §2.1), and the tree of leaves that arrive in order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// SHA-256 of a leaf or node.
pub type Hash = [u8; HASH_BYTES];

/// The hash of a leaf with this entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// The hash of a node with these children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A hash as text: Base64 with padding (RFC 4648 §4).
#[must_use]
pub fn encode(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

/// The hash that [`encode`] wrote.
#[must_use]
pub fn decode(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// The hash of complete subtrees from left to right, of which each but the first is smaller than the one before.
pub(crate) fn join(subtrees: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    subtrees.rev().reduce(|right, left| node_hash(&left, &right))
}

/// A tree whose leaves are appended one by one: its complete subtrees, at most 64.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    /// With the number of levels below each.
    subtrees: Vec<(u32, Hash)>,
}

impl Frontier {
    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let (mut level, mut hash) = (0_u32, leaf);
        while let Some((_, left)) = self.subtrees.pop_if(|(below, _)| *below == level) {
            hash = node_hash(&left, &hash);
            level = level.saturating_add(1);
        }
        self.subtrees.push((level, hash));
        self.size = self.size.saturating_add(1);
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    #[must_use]
    pub fn root(&self) -> Hash {
        join(self.subtrees.iter().map(|(_, hash)| *hash)).unwrap_or_else(empty_root)
    }
}
