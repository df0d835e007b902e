//! The log of audit records: brings it up to date and serves it. Tiles, checkpoints and proofs are public: they reveal how
//! many decisions there were and when, and nothing else.

use crate::bindings::{log, signing, state};
use crate::respond::{self, Reply};
use std::cell::Cell;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::refusal::Refusal;
use vouchsafe_exchange::wire::WireError;
use vouchsafe_types::{LogProof, SignerError, TreeHead};

/// An instance brings the log up to date after one exchange in this many. `serve` asks for the checkpoint besides.
const EXCHANGES: u64 = 16;
/// How often it does so at most, in seconds.
const AFTER_EXCHANGE_SECONDS: u64 = 5;
/// Most passes in a row, each of which adds a limited number of records.
const PASSES_MAX: u32 = 16;
/// Longest decision id that the store takes.
const DECISION_ID_BYTES_MAX: usize = 128;
/// Tiles never change.
const TILE_CACHE: &str = "public, max-age=31536000, immutable";

thread_local! {
    /// When this instance last did so, in Unix seconds.
    static INTEGRATED: Cell<u64> = const { Cell::new(0) };
}

/// What of the log is requested.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    Checkpoint(Option<u64>),
    Key,
    Proof(&'a str),
    Tile(Option<u64>, &'a str),
}

impl<'a> Part<'a> {
    /// The part at the path `/log/<rest>`: of the current log, or of one that is named by its number.
    pub fn of(rest: &'a str) -> Option<Self> {
        if let Some(decision_id) = rest.strip_prefix("proof/") {
            return (1..=DECISION_ID_BYTES_MAX).contains(&decision_id.len()).then_some(Self::Proof(decision_id));
        }
        let (log, rest) = match rest.split_once('/') {
            Some((log, rest)) if log.starts_with(|first: char| first.is_ascii_digit()) => {
                (Some(log.parse().ok()?), rest)
            }
            Some(_) | None => (None, rest),
        };
        match rest.split_once('/') {
            Some(("tile", path)) => Some(Self::Tile(log, path)),
            None if rest == "checkpoint" => Some(Self::Checkpoint(log)),
            None if rest == "key" && log.is_none() => Some(Self::Key),
            Some(_) | None => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint(_) => "log-checkpoint",
            Self::Key => "log-key",
            Self::Proof(_) => "log-proof",
            Self::Tile(..) => "log-tile",
        }
    }

    pub async fn answer(self, request_id: &str) -> Result<Reply, Failure> {
        let text = |text: String| respond::text("no-store", "text/plain; charset=utf-8", text.into());
        let found = match self {
            Self::Checkpoint(log) => {
                if log.is_none() {
                    integrate().await?;
                }
                log::checkpoint(log).await?.map(text)
            }
            Self::Key => key().await?.map(text),
            Self::Proof(decision_id) => match log::prove(decision_id.to_owned()).await? {
                LogProof::Included(proof) => Some(text(proof)),
                LogProof::Pending => return Ok(respond::refused(&WireError::not_logged_yet(), request_id, None)),
                LogProof::Unknown => None,
            },
            Self::Tile(log, path) => {
                let tile = log::tile(log, path.to_owned()).await?;
                tile.map(|hashes| respond::text(TILE_CACHE, "application/octet-stream", hashes.into()))
            }
        };
        Ok(found.unwrap_or_else(|| respond::refused(&WireError::not_found(), request_id, None)))
    }
}

/// Adds what was recorded to the log, and publishes its checkpoint. Does nothing if another instance is at it.
async fn integrate() -> Result<(), Failure> {
    for pass in 0..PASSES_MAX {
        let Some(TreeHead { log, size, root, revision }) = log::grow(pass > 0).await? else {
            return Ok(());
        };
        let checkpoint = match signing::sign_checkpoint(log, size, root).await {
            // This signer has no key for checkpoints, so there is no log.
            Err(SignerError::TierUnavailable) => return Ok(()),
            signed => signed?,
        };
        // If the pointer has another revision, another instance published a checkpoint of the same log.
        if !state::pointer_compare_and_swap(format!("log/{log}"), revision, checkpoint).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// The key of the current log: its name is in the checkpoint.
async fn key() -> Result<Option<String>, Failure> {
    integrate().await?;
    let Some(checkpoint) = log::checkpoint(None).await? else {
        return Ok(None);
    };
    let origin = checkpoint.lines().next().unwrap_or_default();
    let log = origin.rsplit('/').next().and_then(|log| log.parse().ok());
    let log = log.ok_or_else(|| Failure::new(Refusal::Internal, "a checkpoint without a log"))?;
    Ok(Some(format!("{}\n", signing::log_key(log).await?)))
}

/// Brings the log up to date while nobody waits, in some of the calls.
pub fn integrate_later(now: u64, random: u64) {
    if !random.is_multiple_of(EXCHANGES) || now.abs_diff(INTEGRATED.get()) < AFTER_EXCHANGE_SECONDS {
        return;
    }
    INTEGRATED.set(now);
    spin_sdk::wasip3::spawn(async {
        // The next attempt makes up for one that fails, and a request of the checkpoint reports it.
        let _ = integrate().await;
    });
}
