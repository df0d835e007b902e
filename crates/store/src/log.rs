//! The transparency log: records become leaves in the order in which they are numbered, and leaves become tiles.
//!
//! The broker asks for the head of a larger tree ([`Store::log_grow`]), has it signed, and publishes the checkpoint
//! with [`Store::pointer_compare_and_swap`], which is the commit point: a checkpoint follows only the one that its tree
//! was computed from. Leaves are never changed, and tiles are a function of them, so a crash at any point loses nothing
//! and two brokers at once make the same tree.
//!
//! A log is named by the creation mark. In a restored database, that is renewed, and with it the log: the old one may
//! have gone on elsewhere.

use std::ops::Range;

use vouchsafe_tlog::{Checkpoint, Frontier, Hash, Note, Proof, TILE_WIDTH, TileId, Tiles, decode, inclusion, tiles_of};
use vouchsafe_types::{LogProof, TreeHead};

use crate::audit_row::DECISION_ID_BYTES_MAX;
use crate::database::{self, Database, Row, Statement, Value};
use crate::error::{Cause, Error, Limit};
use crate::leaf::{COMMITTED, Leaf};
use crate::log_statements as sql;
use crate::store::{Store, first, within};
use crate::time::{GAP_SECONDS, UnixMilliseconds};

/// Most leaves that one call adds.
pub const LEAVES_PER_PASS_MAX: u64 = 4096;
/// How long one broker has the log for itself, in milliseconds.
const LEASE_MS: u64 = 1000;
const LEASE: &str = "log";
/// Longest path of hashes in tiles: levels that a log of [`vouchsafe_tlog::SIZE_MAX`] leaves has.
const TILE_LEVELS_MAX: u8 = 8;

/// The pointer with the latest checkpoint of a log.
#[must_use]
pub fn pointer_name(log: u64) -> String {
    format!("log/{log}")
}

/// What was published of a log.
struct Published {
    size: u64,
    revision: Option<u64>,
    note: String,
}

impl<D: Database> Store<D> {
    /// Adds records to the log and returns the head of its tree, which is to be signed and published. None if there is
    /// nothing new, or if another broker is at it; `more` says that this one just was.
    pub async fn log_grow(&self, more: bool, now: UnixMilliseconds) -> Result<Option<TreeHead>, Error> {
        let log = self.log().await?;
        let published = self.published(log).await?;
        let size = self.log_size(log).await?;
        if size <= published.size && self.run(sql::news(D::DIALECT)).await?.is_empty() {
            return Ok(None);
        }
        if !more && !self.lease(LEASE, LEASE_MS, now).await? {
            return Ok(None);
        }
        if size == 0 {
            self.close_previous(log).await?;
        }
        self.run(sql::number(D::DIALECT, now.seconds().saturating_sub(GAP_SECONDS), LEAVES_PER_PASS_MAX)?).await?;
        let size = self.log_size(log).await?.min(published.size.saturating_add(LEAVES_PER_PASS_MAX));
        if size <= published.size {
            return Ok(None);
        }
        let root = self.write_tiles(log, published.size..size).await?;
        Ok(Some(TreeHead { log, size, root: root.to_vec(), revision: published.revision }))
    }

    /// The latest checkpoint of `log`, or of the current log.
    pub async fn log_checkpoint(&self, log: Option<u64>) -> Result<Option<String>, Error> {
        let log = match log {
            Some(log) => log,
            None => self.log().await?,
        };
        let published = self.published(log).await?;
        Ok((published.size > 0).then_some(published.note))
    }

    /// The tile of `log`, or of the current log, with this path (C2SP tlog-tiles); none if there is none, or if the latest
    /// checkpoint does not cover it.
    pub async fn log_tile(&self, log: Option<u64>, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some((id, width)) = TileId::parse(path) else {
            return Ok(None);
        };
        let log = match log {
            Some(log) => log,
            None => self.log().await?,
        };
        let published = self.published(log).await?;
        if width == 0 || width > id.width(published.size) {
            return Ok(None);
        }
        let hashes = self.tile(log, id, width).await?;
        Ok(Some(hashes.concat()))
    }

    /// The proof that the decision is in its log.
    pub async fn log_proof(&self, decision_id: &str) -> Result<LogProof, Error> {
        within(decision_id.len(), 1, DECISION_ID_BYTES_MAX, Limit::DecisionId)?;
        let leaf = self.run(Statement::new(sql::LEAF_OF, [decision_id.into()])).await?;
        let Some(leaf) = leaf.first() else {
            let recorded = self.run(Statement::new(sql::HAS_LEAF, [decision_id.into()])).await?;
            return Ok(if recorded.is_empty() { LogProof::Unknown } else { LogProof::Pending });
        };
        let (log, index) = (database::number(leaf, 0)?, database::number(leaf, 1)?);
        let published = self.published(log).await?;
        let Some(path) = inclusion(index, published.size) else {
            return Ok(LogProof::Pending);
        };
        let hashes = self.hashes(log, published.size, &path).await?;
        let extra = self.entry(decision_id).await?;
        let note = Note::parse(&published.note).map_err(|_| unexpected())?;
        Ok(LogProof::Included(Proof { extra, index, hashes, note }.to_string()))
    }

    /// The entry of a record; empty if the record was deleted.
    async fn entry(&self, decision_id: &str) -> Result<Vec<u8>, Error> {
        let rows = self.run(sql::record(decision_id)).await?;
        let Some(mut row) = rows.into_iter().next() else {
            return Ok(Vec::new());
        };
        let salt = decode(&database::text(&mut row, COMMITTED.len())?).ok_or_else(unexpected)?;
        Ok(Leaf::of(&salt, row.iter().take(COMMITTED.len()))?.entry)
    }

    /// The current log.
    async fn log(&self) -> Result<u64, Error> {
        self.creation_mark().await?.ok_or(Error::Unavailable(Cause::CreationMarkMissing))
    }

    async fn published(&self, log: u64) -> Result<Published, Error> {
        let Some(pointer) = self.pointer_get(&pointer_name(log)).await? else {
            return Ok(Published { size: 0, revision: None, note: String::new() });
        };
        let size = match pointer.value.as_str() {
            // Closed before its first checkpoint.
            "" => 0,
            note => size_of(note).ok_or_else(unexpected)?,
        };
        Ok(Published { size, revision: Some(pointer.revision), note: pointer.value })
    }

    /// How many leaves `log` has, published or not.
    async fn log_size(&self, log: u64) -> Result<u64, Error> {
        let rows = self.run(Statement::new(sql::SIZE, [log.try_into()?])).await?;
        first(rows, |row| database::number(row, 0))?.ok_or_else(unexpected)
    }

    /// Ends the log before `log`: its leaves without a checkpoint go to `log`.
    async fn close_previous(&self, log: u64) -> Result<(), Error> {
        let rows = self.run(Statement::new(sql::PREVIOUS, [log.try_into()?])).await?;
        let Some(previous) = first(rows, |row| database::number(row, 0))? else {
            return Ok(());
        };
        let Published { size, revision, note } = self.published(previous).await?;
        if self.log_size(previous).await? == size {
            return Ok(());
        }
        // ORDER: the revision first, so that no broker publishes a checkpoint of the leaves that are removed next.
        if !self.pointer_compare_and_swap(&pointer_name(previous), revision, note).await? {
            return Err(Error::Unavailable(Cause::Contention));
        }
        self.run(sql::remove_unpublished(D::DIALECT, previous, size)?).await.map(drop)
    }

    /// Writes the tiles above the leaves `added`, and returns the root of the tree that ends with them.
    async fn write_tiles(&self, log: u64, added: Range<u64>) -> Result<Hash, Error> {
        let mut tiles = Tiles::default();
        // The first tile that changes, and what is new of it.
        let mut first = added.start / TILE_WIDTH;
        let mut hashes = self.leaves(log, first.saturating_mul(TILE_WIDTH)..added.end).await?;
        for level in 0..TILE_LEVELS_MAX {
            let mut above = Vec::new();
            for (index, tile) in (first..).zip(hashes.chunks(256)) {
                let id = TileId { level, index };
                if tile.len() as u64 != id.width(added.end) {
                    return Err(unexpected());
                }
                if level > 0 {
                    self.run(sql::tile_put(log, id, tile)?).await?;
                }
                if tile.len() as u64 == TILE_WIDTH {
                    above.push(root(tile));
                }
                tiles.insert(id, tile.to_vec());
            }
            let Some(next) = level.checked_add(1) else { break };
            // What the next level has from before: the tile that the new hashes continue.
            let from = first;
            first = from / TILE_WIDTH;
            let known = from % TILE_WIDTH;
            let id = TileId { level: next, index: first };
            if id.width(added.end) == 0 {
                break;
            }
            hashes = if known > 0 { self.tile(log, id, known).await? } else { Vec::new() };
            hashes.append(&mut above);
        }
        tiles.root(added.end).ok_or_else(unexpected)
    }

    /// The hashes of `ranges` in the tree of `size` leaves.
    async fn hashes(&self, log: u64, size: u64, ranges: &[Range<u64>]) -> Result<Vec<Hash>, Error> {
        let mut tiles = Tiles::default();
        for id in tiles_of(ranges) {
            tiles.insert(id, self.tile(log, id, id.width(size)).await?);
        }
        tiles.hashes(ranges).ok_or_else(unexpected)
    }

    /// The first `width` hashes of a tile.
    async fn tile(&self, log: u64, id: TileId, width: u64) -> Result<Vec<Hash>, Error> {
        if id.level == 0 {
            let start = id.index.saturating_mul(TILE_WIDTH);
            return self.leaves(log, start..start.saturating_add(width)).await;
        }
        let place = [log.try_into()?, Value::Integer(id.level.into()), id.index.try_into()?];
        let rows = self.run(Statement::new(sql::TILE_GET, place)).await?;
        let text = first(rows, |row| database::text(row, 0))?.ok_or_else(unexpected)?;
        let width = usize::try_from(width).map_err(|_| unexpected())?;
        let hashes = sql::hashes(&text).filter(|hashes| hashes.len() >= width);
        let mut hashes = hashes.ok_or_else(unexpected)?;
        hashes.truncate(width);
        Ok(hashes)
    }

    /// The hashes of these leaves, of which none may be missing.
    async fn leaves(&self, log: u64, range: Range<u64>) -> Result<Vec<Hash>, Error> {
        let parameters = [log.try_into()?, range.start.try_into()?, range.end.try_into()?];
        let rows = self.run(Statement::new(sql::LEAVES, parameters)).await?;
        let hash = |mut row: Row| decode(&database::text(&mut row, 0)?).ok_or_else(unexpected);
        let hashes = rows.into_iter().map(hash).collect::<Result<Vec<_>, _>>()?;
        if hashes.len() as u64 == range.end.saturating_sub(range.start) { Ok(hashes) } else { Err(unexpected()) }
    }
}

/// The size in a checkpoint that this broker published.
fn size_of(note: &str) -> Option<u64> {
    Some(Checkpoint::parse(Note::parse(note).ok()?.text()).ok()?.size)
}

fn root(hashes: &[Hash]) -> Hash {
    let mut tree = Frontier::default();
    hashes.iter().for_each(|hash| tree.push(*hash));
    tree.root()
}

fn unexpected() -> Error {
    Error::Unavailable(Cause::UnexpectedRow)
}
