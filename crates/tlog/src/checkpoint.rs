//! Checkpoints (C2SP tlog-checkpoint): the size and root of a log.

use std::fmt;

use crate::hash::{Hash, decode, encode};
use crate::note::NAME_BYTES_MAX;

/// Longest origin: it is the name of the log's key.
pub const ORIGIN_BYTES_MAX: usize = NAME_BYTES_MAX;
/// Most leaves of a log: databases have signed integers.
pub const SIZE_MAX: u64 = i64::MAX.cast_unsigned();

/// The state of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: a URL without its scheme.
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct CheckpointError(&'static str);

impl Checkpoint {
    /// Reads the text of a note. Extension lines are refused: this broker writes none.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError("it does not end with a line feed"))?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError("it has no three lines"));
        };
        if !(1..=ORIGIN_BYTES_MAX).contains(&origin.len()) {
            return Err(CheckpointError("its origin is empty or too long"));
        }
        let size = number(size).ok_or(CheckpointError("its size is no number"))?;
        let root = decode(root).ok_or(CheckpointError("its root is no hash"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, encode(&self.root))
    }
}

/// A decimal number in its only spelling.
pub(crate) fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= SIZE_MAX && number.to_string() == text).then_some(number)
}
