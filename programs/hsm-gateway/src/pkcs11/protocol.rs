//! The protocol between gateway and worker: length-prefixed JSON over a socket pair.
//!
//! The PIN is sent once, when the worker starts, and never as an argument or in the environment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use vouchsafe_gateway::KeyAlgorithm;
use zeroize::Zeroizing;

/// Longest frame.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the length prefix.
pub const LENGTH_BYTES: usize = 4;

/// Opens the PKCS#11 token: the first message to a worker.
#[derive(Serialize, Deserialize)]
pub struct Open {
    pub module: String,
    pub token: String,
    /// As bytes: base64 needs no JSON escapes, whose removal would leave copies in memory.
    pub pin: Bytes,
    pub sessions: usize,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub call: Call,
    /// What [`ROOT_CHECK`] derives with the root that the token must have, for calls that depend on the root.
    pub root: Option<Bytes>,
}

/// The message that identifies a root by what it derives. No label of an epoch key equals it: those begin with a
/// smaller length.
pub const ROOT_CHECK: &[u8] = b"vouchsafe root check v1";

/// An operation on the token.
#[derive(Clone, Serialize, Deserialize)]
pub enum Call {
    /// Creates the root.
    CreateRoot { generation: u64 },
    /// Creates a key pair that signs JWTs; `id` is the private key's `CKA_ID`.
    CreateKey { label: String, algorithm: Algorithm, id: Bytes },
    /// `HMAC-SHA256(root, message)`.
    Derive { message: Bytes },
    /// Destroys every private key of a duplicate label. The public keys stay.
    DestroyDuplicates { label: String },
    /// Destroys what this worker created under a label, if anything: by handle, never by search.
    DestroyCreated { label: String },
    /// Destroys a private key whose `CKA_ID` is `from`. The public key stays, so that the label is not reused.
    DestroyKey { label: String, from: Bytes },
    /// Returns the root's `CKA_ID`, which holds the generation.
    Generation,
    /// Imports a certificate.
    ImportCertificate {
        label: String,
        /// The subject's `Name`, in DER.
        subject: Bytes,
        der: Bytes,
    },
    /// Imports a key pair.
    ImportKey {
        label: String,
        /// The private key's `CKA_ID`.
        id: Bytes,
        key: PrivateKey,
    },
    /// Imports a root.
    ImportRoot { generation: u64, root: Bytes },
    /// Lists the gateway's objects and the token's mechanisms.
    Inspect,
    /// Sets the root's `CKA_ID`, if it is `from`.
    SetGeneration { from: Bytes, to: Bytes },
    /// Sets the `CKA_ID` of a private key, if it is `from`.
    SetId { label: String, from: Bytes, to: Bytes },
    /// Signs; the signature has the form of JWS.
    Sign { label: String, algorithm: Algorithm, message: Bytes },
    /// Lists the `CKA_ID` of each private key that signs JWTs.
    States,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

impl From<KeyAlgorithm> for Algorithm {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::EdDsa => Self::EdDsa,
            KeyAlgorithm::Es256 => Self::Es256,
            KeyAlgorithm::Rs256 => Self::Rs256,
        }
    }
}

impl Call {
    /// Whether the root is checked first. Signatures are verified by their recipients instead.
    pub fn depends_on_root(&self) -> bool {
        !matches!(self, Self::Sign { .. })
    }

    /// Whether it creates, changes or destroys objects.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Self::CreateKey { .. }
                | Self::CreateRoot { .. }
                | Self::DestroyCreated { .. }
                | Self::DestroyDuplicates { .. }
                | Self::DestroyKey { .. }
                | Self::ImportCertificate { .. }
                | Self::ImportKey { .. }
                | Self::ImportRoot { .. }
                | Self::SetGeneration { .. }
                | Self::SetId { .. }
        )
    }
}

#[derive(Serialize, Deserialize)]
pub struct Response {
    pub id: u64,
    pub outcome: Result<Reply, Pkcs11Error>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Bytes(Bytes),
    Done,
    Inventory(Inventory),
    /// Label and `CKA_ID`, by label.
    States(Vec<(String, Bytes)>),
}

/// The contents of the token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inventory {
    pub model: String,
    pub serial: String,
    /// Mechanisms that the gateway uses and the token supports.
    pub mechanisms: Vec<String>,
    /// Mechanisms that the gateway uses and the token does not support.
    pub mechanisms_missing: Vec<String>,
    pub keys: Vec<KeyInfo>,
    /// Labels of public keys whose private key was destroyed.
    pub destroyed: Vec<String>,
    /// Labels with several keys, or with several public keys.
    pub duplicates: Vec<String>,
    pub certificates: Vec<CertificateInfo>,
}

/// A certificate of the gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateInfo {
    pub label: String,
    pub der: Bytes,
}

/// A secret or private key of the gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyInfo {
    pub label: String,
    /// `CKA_ID`.
    pub id: Bytes,
    pub secret: bool,
    pub flags: Flags,
    /// The public key of a private key, if the token has exactly one.
    pub public: Option<PublicKey>,
}

/// Attributes that say whether a key can leave the token or do more than sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    pub sensitive: bool,
    pub extractable: bool,
    pub never_extractable: bool,
    pub sign: bool,
    /// `CKA_DECRYPT`, `CKA_UNWRAP`, `CKA_DERIVE`, `CKA_ENCRYPT` or `CKA_WRAP`.
    pub more: bool,
}

impl Flags {
    /// Whether the key stays in the token and can only sign.
    pub fn are_safe(self) -> bool {
        self.sensitive && !self.extractable && self.sign && !self.more
    }
}

/// A private key with its public key; wiped when dropped, never printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum PrivateKey {
    /// P-256: the scalar, and the uncompressed point.
    Ec { scalar: Bytes, point: Vec<u8> },
    /// Ed25519: the seed of RFC 8032 §5.1.5, and the point.
    Edwards { seed: Bytes, point: Vec<u8> },
    /// RFC 8017 §3.2, second form.
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
        private_exponent: Bytes,
        prime_1: Bytes,
        prime_2: Bytes,
        exponent_1: Bytes,
        exponent_2: Bytes,
        coefficient: Bytes,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicKey {
    Ec { point: Vec<u8> },
    Edwards { point: Vec<u8> },
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

/// Why an operation on the token failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pkcs11Error {
    /// The object is not what the caller expected.
    Changed(String),
    /// An object with this label exists.
    KeyExists(String),
    KeyMissing(String),
    /// Several keys have this label.
    DuplicateKey(String),
    /// The token has another root than at start-up, so it is another token.
    WrongRoot,
    /// The login failed for a reason that may be a wrong PIN. Two in a row count as one.
    LoginFailed(String),
    /// Another process created an object with this label at the same time; ours was destroyed.
    CreatedConcurrently(String),
    /// The module, or something around it, failed. The text never contains a PIN or data.
    Module(String),
    /// The module can't do this call with this key. Other calls work.
    Unsupported(String),
    /// The PIN is wrong, expired or locked, and is not tried again.
    PinRefused(String),
    TokenMissing(String),
    /// Several tokens have this label.
    DuplicateToken {
        label: String,
        serials: Vec<String>,
    },
}

impl std::fmt::Display for Pkcs11Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed(label) => write!(f, "`{label}` was modified concurrently"),
            Self::KeyExists(label) => write!(f, "the PKCS#11 token already has `{label}`"),
            Self::KeyMissing(label) => write!(f, "the PKCS#11 token has no `{label}`"),
            Self::DuplicateKey(label) => write!(f, "duplicate PKCS#11 objects `{label}`"),
            Self::WrongRoot => f.write_str("wrong root: another PKCS#11 token is in place of this gateway's"),
            Self::LoginFailed(text) => write!(f, "login failed: {text}"),
            Self::CreatedConcurrently(label) => {
                write!(f, "another process created `{label}` at the same time")
            }
            Self::Module(text) | Self::Unsupported(text) => f.write_str(text),
            Self::PinRefused(text) => write!(f, "the PKCS#11 token rejected the PIN: {text}"),
            Self::TokenMissing(label) => {
                write!(f, "no slot has an initialized PKCS#11 token with label `{label}`")
            }
            Self::DuplicateToken { label, serials } => write!(
                f,
                "{} PKCS#11 tokens have the label `{label}`; their serial numbers are {}",
                serials.len(),
                serials.join(", ")
            ),
        }
    }
}

/// Bytes, base64 in JSON; wiped when dropped, since they may be a seed.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({}, ..)", self.0.len())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(STANDARD.encode(&*self.0));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = STANDARD.decode(text.as_bytes());
        bytes.map(Self::from).map_err(serde::de::Error::custom)
    }
}

/// Encodes `message` as a frame.
pub fn frame(message: &impl Serialize) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut count = ByteCount(0);
    serde_json::to_writer(&mut count, message)?;
    let length = u32::try_from(count.0).map_err(std::io::Error::other)?;
    // INVARIANT: the buffer has its full length from the start. One that grows leaves copies behind in memory, and
    // frames hold PINs, roots and private keys.
    let mut frame = Zeroizing::new(Vec::with_capacity(LENGTH_BYTES.saturating_add(count.0)));
    frame.extend_from_slice(&length.to_be_bytes());
    serde_json::to_writer(&mut *frame, message)?;
    Ok(frame)
}

/// Counts the bytes written to it.
struct ByteCount(usize);

impl Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Decodes a frame's length.
pub fn frame_bytes(length: [u8; LENGTH_BYTES]) -> std::io::Result<usize> {
    usize::try_from(u32::from_be_bytes(length))
        .ok()
        .filter(|bytes| *bytes <= FRAME_BYTES_MAX)
        .ok_or_else(|| std::io::Error::other("frame too long"))
}

pub fn write(mut stream: impl Write, message: &impl Serialize) -> std::io::Result<()> {
    stream.write_all(&frame(message)?)
}

/// Reads the next message; `None` at the end of the stream.
pub fn read<T: serde::de::DeserializeOwned>(mut stream: impl Read) -> std::io::Result<Option<T>> {
    let mut length = [0; LENGTH_BYTES];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let mut json = Zeroizing::new(vec![0; frame_bytes(length)?]);
    stream.read_exact(&mut json)?;
    Ok(Some(serde_json::from_slice(&json)?))
}

#[cfg(test)]
mod tests;
