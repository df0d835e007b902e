//! The text of an inclusion proof (C2SP tlog-proof).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, number};
use crate::hash::{Hash, decode, encode};
use crate::note::{NOTE_BYTES_MAX, Note};
use crate::verify::verify_inclusion;

/// Longest text of a proof.
pub const PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + 128 * 1024;
/// Longest extra data.
pub const EXTRA_BYTES_MAX: usize = 64 * 1024;
/// Most hashes of an inclusion proof: one for each level.
pub const PATH_MAX: usize = 63;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that an entry is in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Data that the proof does not authenticate; empty if there is none.
    pub extra: Vec<u8>,
    pub index: u64,
    pub hashes: Vec<Hash>,
    pub note: Note,
}

/// Why a text is no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("a proof has at most {PROOF_BYTES_MAX} bytes")]
    TooLong,
    #[error("not a proof: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Note(#[from] crate::note::NoteError),
}

impl Proof {
    /// # Errors
    /// [`ProofError`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > PROOF_BYTES_MAX {
            return Err(ProofError::TooLong);
        }
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Malformed("it has no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ProofError::Malformed("its first line is another one"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let extra = match extra {
            None => Vec::new(),
            Some(line) => STANDARD
                .decode(line)
                .ok()
                .filter(|extra| (1..=EXTRA_BYTES_MAX).contains(&extra.len()))
                .ok_or(ProofError::Malformed("its extra data is empty, too long or not Base64"))?,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(number);
        let index = index.ok_or(ProofError::Malformed("it has no index"))?;
        let hashes: Option<Vec<_>> = lines.map(decode).collect();
        let hashes = hashes.filter(|hashes| hashes.len() <= PATH_MAX);
        let hashes = hashes.ok_or(ProofError::Malformed("a line is no hash, or there are too many"))?;
        Ok(Self { extra, index, hashes, note: Note::parse(note)? })
    }

    /// Whether the proof shows that `leaf` is in the tree of `checkpoint`, which must be the verified one of
    /// [`Self::note`].
    #[must_use]
    pub fn includes(&self, leaf: &Hash, checkpoint: &Checkpoint) -> bool {
        verify_inclusion(leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", STANDARD.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", encode(hash))?;
        }
        write!(f, "\n{}", self.note)
    }
}
