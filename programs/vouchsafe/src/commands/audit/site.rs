//! The log that a broker publishes.

use super::finding::Finding;
use super::note;
use super::report::{Kept, Report, compare, tree_for};
use super::tree::Tree;
use crate::client::http::Http;
use std::collections::BTreeMap;
use vouchsafe_cli::Failure;
use vouchsafe_tlog::{HASH_BYTES, Hash, NOTE_BYTES_MAX, Policy, TILE_WIDTH, TileId};

/// Fetches a text of the broker's log.
pub fn text(http: &Http, broker: &str, path: &str) -> Result<String, Failure> {
    let url = format!("{}/log/{path}", broker.trim_end_matches('/'));
    let bytes = fetch(http, &url)?;
    if bytes.len() > NOTE_BYTES_MAX {
        return Err(Failure::unreachable(format!("{url} is longer than {NOTE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::unreachable(format!("{url} is not text")))
}

fn fetch(http: &Http, url: &str) -> Result<Vec<u8>, Failure> {
    let reply = http.get(url, None)?;
    match reply.status {
        200 => Ok(reply.body),
        404 => Err(Failure::refused(format!("{url} returned status 404: the broker has no log, or not that in it"))),
        _ => Err(reply.unexpected(url)),
    }
}

/// Fetches the first `width` hashes of a tile.
pub fn tile(http: &Http, broker: &str, log: u64, id: TileId, width: u64) -> Result<Vec<Hash>, Failure> {
    let url = format!("{}/log/{log}/tile/{}", broker.trim_end_matches('/'), id.path(width));
    let bytes = fetch(http, &url)?;
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    if hashes.len() as u64 != width || !rest.is_empty() {
        return Err(Failure::unreachable(format!("{url} has {} bytes, not {}", bytes.len(), width * 32)));
    }
    Ok(hashes.to_vec())
}

/// Recomputes the tree from the leaves in the tiles of level 0, and compares all other tiles and the checkpoints.
pub fn check(http: &Http, broker: &str, policy: &Policy, kept: &[Kept]) -> Result<Report, Failure> {
    let from = format!("{}/log/checkpoint", broker.trim_end_matches('/'));
    let checkpoint = match note::of_log(&text(http, broker, "checkpoint")?, policy) {
        Ok(checkpoint) => checkpoint,
        Err(why) => {
            return Ok(Report { findings: vec![Finding::Signature { from, why }], ..Report::default() });
        }
    };
    let log = note::log_of(&checkpoint.origin);
    let log = log.ok_or_else(|| Failure::refused(format!("`{}` is not the name of a log", checkpoint.origin)))?;
    let size = checkpoint.size;
    let published = Kept { checkpoint, from, witnesses: vec![] };
    let mut tree = tree_for(log, kept.iter().chain([&published]));
    for index in 0..size.div_ceil(TILE_WIDTH) {
        let id = TileId { level: 0, index };
        tile(http, broker, log, id, id.width(size))?.into_iter().for_each(|leaf| tree.push(leaf));
    }
    let mut findings = Vec::new();
    for id in upper_tiles(size) {
        let published = tile(http, broker, log, id, id.width(size))?;
        if tree.tile(id) != Some(published.as_slice()) {
            findings.push(Finding::Tile { log, level: id.level, index: id.index });
        }
    }
    let trees: BTreeMap<u64, Tree> = BTreeMap::from([(log, tree)]);
    for kept in [&published].into_iter().chain(kept) {
        compare(kept, &trees, &mut findings);
    }
    Ok(Report { leaves: BTreeMap::from([(log, size)]), counts: None, findings })
}

/// The tiles above the leaves in a tree of `size` leaves.
fn upper_tiles(size: u64) -> Vec<TileId> {
    let mut tiles = Vec::new();
    for level in 1.. {
        let mut index = 0;
        while (TileId { level, index }).width(size) > 0 {
            tiles.push(TileId { level, index });
            index += 1;
        }
        if index == 0 {
            break;
        }
    }
    tiles
}
