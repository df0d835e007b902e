//! A transparency log in the formats of C2SP: an RFC 6962 tree, tiles, signed notes, checkpoints, cosignatures, proofs and
//! policies.
//!
//! Stores nothing, requests nothing, and has no signature arithmetic: callers fetch the tiles that [`tiles_of`] names, and
//! pass a function that verifies Ed25519 signatures.
//!
//! Entry points: [`Frontier`] for a tree whose leaves are at hand; [`Tiles`] for one that is in tiles; [`Note`],
//! [`Checkpoint`], [`Proof`] and [`Policy`] for the texts.
//!
//! Invariants: texts are limited before they are parsed; each value has one spelling, so what parses is written the same
//! way again.
//!
//! ```
//! use vouchsafe_tlog::{Frontier, inclusion, leaf_hash, tiles_of, verify_inclusion, Tiles, TileId};
//!
//! let leaves: Vec<_> = (0_u8..5).map(|number| leaf_hash(&[number])).collect();
//! let mut tree = Frontier::default();
//! leaves.iter().for_each(|leaf| tree.push(*leaf));
//!
//! let path = inclusion(3, tree.size()).expect("there is a leaf 3");
//! assert_eq!(tiles_of(&path), [TileId { level: 0, index: 0 }].into());
//! let mut tiles = Tiles::default();
//! tiles.insert(TileId { level: 0, index: 0 }, leaves.clone());
//! let proof = tiles.hashes(&path).expect("every tile is there");
//! assert!(verify_inclusion(&leaves[3], 3, tree.size(), &proof, &tree.root()));
//! assert!(!verify_inclusion(&leaves[2], 3, tree.size(), &proof, &tree.root()));
//! ```

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "tests may panic"))]

mod checkpoint;
mod hash;
mod note;
mod policy;
mod proof;
mod range;
mod tile;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointError, ORIGIN_BYTES_MAX, SIZE_MAX};
pub use hash::{Frontier, HASH_BYTES, Hash, decode, empty_root, encode, leaf_hash, node_hash};
pub use note::{
    KeyKind, NAME_BYTES_MAX, NOTE_BYTES_MAX, Note, NoteError, SIGNATURES_MAX, Signature, VerifierKey, Verify,
    cosigned_message,
};
pub use policy::{
    Accepted, LINES_MAX as POLICY_LINES_MAX, Log, POLICY_BYTES_MAX, Policy, PolicyError, Rejected, Witness,
};
pub use proof::{EXTRA_BYTES_MAX, PATH_MAX, PROOF_BYTES_MAX, Proof, ProofError};
pub use range::{consistency, inclusion};
pub use tile::{TILE_WIDTH, TileId, Tiles, tiles_of};
pub use verify::{verify_consistency, verify_inclusion};

#[cfg(test)]
mod tests;
