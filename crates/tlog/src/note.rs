//! Signed notes (C2SP signed-note) and cosignatures (C2SP tlog-cosignature, v1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Longest note.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signatures of a note.
pub const SIGNATURES_MAX: usize = 64;
/// Longest name of a key.
pub const NAME_BYTES_MAX: usize = 256;

const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
const SIGNATURE_BYTES: usize = 64;
const TIME_BYTES: usize = 8;
/// What a signature line begins with.
const DASH: &str = "\u{2014} ";

/// Whether the third is an Ed25519 signature of the second under the public key that is the first.
pub type Verify<'a> = &'a dyn Fn(&[u8; KEY_BYTES], &[u8], &[u8]) -> bool;

/// Why a text is no note or no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("a note has at most {NOTE_BYTES_MAX} bytes")]
    TooLong,
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    #[error("not a verifier key: {0}")]
    Key(&'static str),
    #[error("the signature of `{0}` is wrong")]
    Signature(String),
}

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The text of a note.
    Ed25519,
    /// A checkpoint together with a time.
    Cosignature,
}

impl KeyKind {
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A public key with its name: a `vkey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: [u8; KEY_BYTES],
}

impl VerifierKey {
    /// # Errors
    /// [`NoteError::Key`] if the name can't be that of a key.
    pub fn new(name: &str, kind: KeyKind, key: [u8; KEY_BYTES]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Key("its name is empty, too long, or has a space or a plus"));
        }
        Ok(Self { name: name.to_owned(), kind, key })
    }

    /// Reads `name+id+key`.
    ///
    /// # Errors
    /// [`NoteError::Key`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it has no three parts"));
        };
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Key("its last part is not Base64"))?;
        let (kind, key) = match bytes.split_first() {
            Some((1, key)) => (KeyKind::Ed25519, key),
            Some((4, key)) => (KeyKind::Cosignature, key),
            _ => return Err(NoteError::Key("it is neither an Ed25519 key nor one for cosignatures")),
        };
        let key = key.try_into().map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        let parsed = Self::new(name, kind, key)?;
        if parsed.to_string() != text {
            return Err(NoteError::Key("its id is not that of its name and key"));
        }
        Ok(parsed)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key itself.
    #[must_use]
    pub fn key(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    fn id(&self) -> [u8; KEY_ID_BYTES] {
        let digest =
            Sha256::new().chain_update(&self.name).chain_update([b'\n', self.kind.byte()]).chain_update(self.key);
        let mut id = [0; KEY_ID_BYTES];
        for (to, from) in id.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        id
    }

    /// The line that `signature` adds to a note.
    #[must_use]
    pub fn line(&self, signature: &[u8]) -> String {
        let mut bytes = self.id().to_vec();
        bytes.extend_from_slice(signature);
        format!("{DASH}{} {}\n", self.name, STANDARD.encode(bytes))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind.byte()];
        bytes.extend_from_slice(&self.key);
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(bytes))
    }
}

fn is_name(name: &str) -> bool {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    fits && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

/// One signature of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    id: [u8; KEY_ID_BYTES],
    bytes: Vec<u8>,
}

/// A text with signatures, none of them verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// # Errors
    /// [`NoteError::TooLong`], [`NoteError::Malformed`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Malformed("it has a control character"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed("it has no empty line"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed("it does not end with a line feed"))?;
        let lines: Vec<_> = lines.split('\n').collect();
        if lines.len() > SIGNATURES_MAX {
            return Err(NoteError::Malformed("it has too many signatures"));
        }
        let signatures = lines.into_iter().map(signature).collect::<Option<_>>();
        let signatures = signatures.ok_or(NoteError::Malformed("a line is no signature"))?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The signed text, with its last line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Whether `key` signed; for a cosignature, also when, in Unix seconds. None if there is no signature of it.
    ///
    /// # Errors
    /// [`NoteError::Signature`] if a signature of the key is wrong.
    pub fn signed_by(&self, key: &VerifierKey, verify: Verify<'_>) -> Result<Option<u64>, NoteError> {
        let id = key.id();
        let mut found = None;
        for signature in self.signatures.iter().filter(|signature| signature.name == key.name && signature.id == id) {
            let time = check(&self.text, signature, key, verify);
            found = Some(time.ok_or_else(|| NoteError::Signature(key.name.clone()))?);
        }
        Ok(found)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature { name, id, bytes } in &self.signatures {
            let mut all = id.to_vec();
            all.extend_from_slice(bytes);
            writeln!(f, "{DASH}{name} {}", STANDARD.encode(all))?;
        }
        Ok(())
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, bytes) = bytes.split_first_chunk()?;
    (is_name(name) && !bytes.is_empty()).then(|| Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

/// When `signature` was made, 0 for a signature without a time; none if it is wrong.
fn check(text: &str, signature: &Signature, key: &VerifierKey, verify: Verify<'_>) -> Option<u64> {
    let (time, bytes) = match key.kind {
        KeyKind::Ed25519 => (None, signature.bytes.as_slice()),
        KeyKind::Cosignature => {
            let (time, bytes) = signature.bytes.split_first_chunk::<TIME_BYTES>()?;
            (Some(u64::from_be_bytes(*time)), bytes)
        }
    };
    if bytes.len() != SIGNATURE_BYTES || time.is_some_and(|time| i64::try_from(time).is_err()) {
        return None;
    }
    let right = match time {
        None => verify(&key.key, text.as_bytes(), bytes),
        Some(time) => verify(&key.key, cosigned_message(time, text).as_bytes(), bytes),
    };
    right.then_some(time.unwrap_or(0))
}

/// What a witness signs at `time`, in Unix seconds.
#[must_use]
pub fn cosigned_message(time: u64, checkpoint: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{checkpoint}")
}
