//! Roots and proofs against `tlog_tiles`, which is an independent implementation.

use vouchsafe_tlog_oracle::tlog::{self as oracle, Hash as Theirs};

use super::*;

/// More than two full tiles.
const SIZE: u64 = 600;

struct Stored(Vec<Theirs>);

impl oracle::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Theirs>, oracle::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

fn stored() -> Stored {
    let mut stored = Stored(Vec::new());
    for number in 0..SIZE {
        let more = oracle::stored_hashes(number, &number.to_be_bytes(), &stored).unwrap();
        stored.0.extend(more);
    }
    stored
}

/// All tiles of the tree with `size` leaves.
fn tiles(size: u64) -> Tiles {
    let mut tiles = Tiles::default();
    let mut hashes: Vec<Hash> = (0..size).map(leaf).collect();
    for level in 0.. {
        let mut above = Vec::new();
        for (index, tile) in (0..).zip(hashes.chunks(256)) {
            tiles.insert(TileId { level, index }, tile.to_vec());
            if tile.len() == 256 {
                let mut full = Frontier::default();
                tile.iter().for_each(|hash| full.push(*hash));
                above.push(full.root());
            }
        }
        if above.is_empty() {
            return tiles;
        }
        hashes = above;
    }
    unreachable!("a level is empty")
}

fn theirs(hashes: &[Theirs]) -> Vec<Hash> {
    hashes.iter().map(|hash| hash.0).collect()
}

#[test]
fn roots_are_those_of_the_oracle() {
    let stored = stored();
    assert_eq!(encode(&tree(0).root()), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    for size in 1..=SIZE {
        let expected = oracle::tree_hash(size, &stored).unwrap().0;
        assert_eq!(tree(size).root(), expected, "{size}");
        assert_eq!(tiles(size).root(size), Some(expected), "{size}");
    }
}

#[test]
fn inclusion_proofs_are_those_of_the_oracle() {
    let stored = stored();
    for size in (1..40).chain([255, 256, 257, 511, 512, 513, SIZE]) {
        let (root, tiles) = (tree(size).root(), tiles(size));
        for index in (0..size).step_by(if size < 40 { 1 } else { 37 }).chain([size - 1]) {
            let proof = tiles.hashes(&inclusion(index, size).unwrap()).unwrap();
            assert_eq!(proof, theirs(&oracle::prove_record(size, index, &stored).unwrap()), "{index} of {size}");
            let check = |leaf, index, size, proof: &[Hash]| verify_inclusion(&leaf, index, size, proof, &root);
            assert!(check(leaf(index), index, size, &proof));
            assert!(!check(leaf(index + 1), index, size, &proof), "another leaf");
            assert!(!check(leaf(index), index, size, &[proof.as_slice(), &[root]].concat()), "too long");
            if let Some((_, shorter)) = proof.split_last() {
                assert!(!check(leaf(index), index, size, shorter), "too short");
                assert!(!check(leaf(index), index ^ 1, size, &proof), "another index");
            }
        }
        assert_eq!(inclusion(size, size), None);
        assert!(!verify_inclusion(&root, size, size, &[], &root));
    }
}

#[test]
fn consistency_proofs_are_those_of_the_oracle() {
    let stored = stored();
    for new in (1..40).chain([256, 257, 513, SIZE]) {
        let (new_root, tiles) = (tree(new).root(), tiles(new));
        for old in (1..=new).step_by(if new < 40 { 1 } else { 29 }) {
            let (old_root, path) = (tree(old).root(), consistency(old, new).unwrap());
            let proof = tiles.hashes(&path).unwrap();
            assert_eq!(proof, theirs(&oracle::prove_tree(new, old, &stored).unwrap()), "{old} of {new}");
            assert!(verify_consistency(old, &old_root, new, &new_root, &proof));
            assert!(!verify_consistency(old, &leaf(7777), new, &new_root, &proof), "another old root");
            assert!(!verify_consistency(old, &old_root, new, &leaf(7777), &proof), "another new root");
            assert!(!verify_consistency(old, &old_root, new, &new_root, &[proof.as_slice(), &[old_root]].concat()));
            for place in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[place][0] ^= 1;
                assert!(!verify_consistency(old, &old_root, new, &new_root, &wrong), "{place}");
            }
        }
        assert_eq!(consistency(new + 1, new), None);
        assert!(!verify_consistency(new + 1, &new_root, new, &new_root, &[]));
        assert!(verify_consistency(0, &empty_root(), new, &new_root, &[]));
        assert!(!verify_consistency(0, &new_root, new, &new_root, &[]));
    }
}

#[test]
fn missing_tiles_give_no_hash() {
    let path = inclusion(300, SIZE).unwrap();
    let mut some = Tiles::default();
    some.insert(TileId { level: 0, index: 1 }, (256..512).map(leaf).collect());
    assert_eq!(some.hashes(&path), None);
    assert_eq!(
        tiles_of(&path).into_iter().map(|id| (id.level, id.index)).collect::<Vec<_>>(),
        [(0, 1), (0, 2), (1, 0)]
    );
}
