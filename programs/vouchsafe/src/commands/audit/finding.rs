//! What a verification finds.

use serde_json::{Value, json};
use std::fmt;

/// Something that an honest broker and its operators don't cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The checkpoint's tree is not that of the leaves.
    Checkpoint { log: u64, size: u64, from: String },
    /// The record is gone, its leaf is there.
    Deleted { log: u64, index: u64, decision_id: String },
    /// The record is not the one that was recorded.
    Edited { log: u64, index: u64, decision_id: String },
    /// A leaf is missing between others.
    Gap { log: u64, index: u64 },
    /// The record never was in the log.
    Inserted { seq: u64, decision_id: String },
    /// A signature is missing or wrong.
    Signature { from: String, why: String },
    /// The record is where another one was.
    Swapped { decision_id: String, log: u64, index: u64 },
    /// A tile is not that of the leaves.
    Tile { log: u64, level: u8, index: u64 },
    /// The log is shorter than a checkpoint of it.
    Truncated { log: u64, size: u64, leaves: u64, from: String },
    /// A record without a leaf among those with one.
    Unlogged { seq: u64, decision_id: String },
}

impl Finding {
    /// The kind, for programs.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Checkpoint { .. } => "checkpoint",
            Self::Deleted { .. } => "deleted",
            Self::Edited { .. } => "edited",
            Self::Gap { .. } => "gap",
            Self::Inserted { .. } => "inserted",
            Self::Signature { .. } => "signature",
            Self::Swapped { .. } => "swapped",
            Self::Tile { .. } => "tile",
            Self::Truncated { .. } => "truncated",
            Self::Unlogged { .. } => "unlogged",
        }
    }

    pub fn json(&self) -> Value {
        json!({ "finding": self.slug(), "text": self.to_string() })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint { log, size, from } => {
                write!(f, "forked: the first {size} leaves of log {log} are not those of the checkpoint in {from}")
            }
            Self::Deleted { log, index, decision_id } => {
                write!(f, "deleted: decision {decision_id}, leaf {index} of log {log}, has no record")
            }
            Self::Edited { log, index, decision_id } => {
                write!(f, "edited: decision {decision_id} is not what was recorded as leaf {index} of log {log}")
            }
            Self::Gap { log, index } => write!(f, "deleted: leaf {index} of log {log} is missing"),
            Self::Inserted { seq, decision_id } => {
                write!(f, "inserted: decision {decision_id}, record {seq}, is not in the log")
            }
            Self::Signature { from, why } => write!(f, "signature: {from}: {why}"),
            Self::Swapped { decision_id, log, index } => {
                write!(f, "swapped: decision {decision_id} has the content of leaf {index} of log {log}")
            }
            Self::Tile { log, level, index } => {
                write!(f, "tile: tile {index} of level {level} of log {log} is not that of its leaves")
            }
            Self::Truncated { log, size, leaves, from } => {
                write!(f, "truncated: log {log} has {leaves} leaves, but {size} in the checkpoint in {from}")
            }
            Self::Unlogged { seq, decision_id } => write!(
                f,
                "unlogged: decision {decision_id}, record {seq}, has no leaf: it was inserted, or recorded by a broker of an older version"
            ),
        }
    }
}
