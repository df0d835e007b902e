//! What gateway and worker say to each other: length-prefixed JSON over a socket pair.
//!
//! The PIN goes over it once, when the worker starts: never by an argument or the environment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use zeroize::Zeroizing;

/// Longest frame.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the length in front.
pub const LENGTH_BYTES: usize = 4;

/// Opens the token; the first thing that a worker is told.
#[derive(Serialize, Deserialize)]
pub struct Open {
    pub module: String,
    pub token: String,
    /// As bytes, which need no escapes in JSON, and so leave no copies where they are taken out of it.
    pub pin: Bytes,
    pub sessions: usize,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub call: Call,
    /// What [`ROOT_CHECK`] gives with the root that has to be there, where it matters.
    pub root: Option<Bytes>,
}

/// What is derived to see whether a token has a certain root. Labels of epoch keys begin with a length, which
/// is less.
pub const ROOT_CHECK: &[u8] = b"vouchsafe root check v1";

/// An operation.
#[derive(Clone, Serialize, Deserialize)]
pub enum Call {
    /// Makes the root.
    CreateRoot { generation: u64 },
    /// Makes both halves of a key that signs tokens; `id` is the private half's `CKA_ID`.
    CreateKey {
        label: String,
        algorithm: Algorithm,
        id: Bytes,
    },
    /// `HMAC-SHA256(root, message)`.
    Derive { message: Bytes },
    /// Destroys each private half of a key that is there twice. The public halves stay.
    DestroyDoubled { label: String },
    /// Destroys what this worker has made of a label, if it has: by handles, never by a search.
    DestroyMade { label: String },
    /// Destroys the private half of a key whose `CKA_ID` is `from`. The public half stays, so that its
    /// label is not used again.
    DestroyKey { label: String, from: Bytes },
    /// The root's `CKA_ID`, which has the generation.
    Generation,
    /// Puts a certificate into the token.
    ImportCertificate {
        label: String,
        /// Its subject's `Name`, in DER.
        subject: Bytes,
        der: Bytes,
    },
    /// Puts a key pair that was made elsewhere into the token.
    ImportKey {
        label: String,
        /// The private half's `CKA_ID`.
        id: Bytes,
        key: PrivateKey,
    },
    /// Puts a root that was made elsewhere into the token.
    ImportRoot { generation: u64, root: Bytes },
    /// All of the gateway's objects, and what the token can do.
    Inspect,
    /// Sets the root's `CKA_ID`, if it is `from`.
    SetGeneration { from: Bytes, to: Bytes },
    /// Sets the `CKA_ID` of a private key, if it is `from`.
    SetId {
        label: String,
        from: Bytes,
        to: Bytes,
    },
    /// The signature in the form of JWS.
    Sign {
        label: String,
        algorithm: Algorithm,
        message: Bytes,
    },
    /// `CKA_ID` of each private key that signs tokens.
    States,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    EdDsa,
    Es256,
    Rs256,
}

#[derive(Serialize, Deserialize)]
pub struct Response {
    pub id: u64,
    pub outcome: Result<Reply, Fault>,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Bytes(Bytes),
    Done,
    Inventory(Inventory),
    /// Label and `CKA_ID`, by label.
    States(Vec<(String, Bytes)>),
}

/// What the token holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Inventory {
    pub model: String,
    pub serial: String,
    /// Of the mechanisms that the gateway uses, those that the token has.
    pub mechanisms: Vec<String>,
    /// Those that it has not.
    pub mechanisms_missing: Vec<String>,
    pub keys: Vec<KeyInfo>,
    /// Labels of public keys whose private half was destroyed.
    pub destroyed: Vec<String>,
    /// Labels of keys that are there twice, or whose public half is.
    pub doubled: Vec<String>,
    pub certificates: Vec<CertificateInfo>,
}

/// One certificate of the gateway's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateInfo {
    pub label: String,
    pub der: Bytes,
}

/// One secret or private key of the gateway's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyInfo {
    pub label: String,
    /// `CKA_ID`.
    pub id: Bytes,
    pub secret: bool,
    pub flags: Flags,
    /// Of a private key, where the token has its public half.
    pub public: Option<PublicKey>,
}

/// Attributes that decide whether a key can leave the token or do more than sign.
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
    /// Stays in the token, and signs only.
    pub fn are_safe(self) -> bool {
        self.sensitive && !self.extractable && self.sign && !self.more
    }
}

/// A private key with its public half; wiped when dropped. Never printed.
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

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// What was to be changed is not as it was before.
    Changed(String),
    /// Something of this label is there already.
    KeyExists(String),
    KeyMissing(String),
    /// Two keys of one label: which of them is meant can't be known.
    KeyTwice(String),
    /// The token has another root than the gateway's: another one took its place.
    OtherRoot,
    /// The login failed with what may be a wrong PIN. Two of them in a row are taken for one.
    LoginFailed(String),
    /// Somebody else made something of this label at the same time; what was made here is destroyed.
    MadeTwice(String),
    /// The module failed, or what is around it: in its words or in ours, never with a PIN or data.
    Module(String),
    /// What the module said of this one call or its key. It works for others.
    NotPossible(String),
    /// The PIN is wrong, expired or locked. It is not tried again.
    PinRefused(String),
    TokenMissing(String),
    /// Several tokens of one label, by their serial numbers.
    TokenTwice {
        label: String,
        serials: Vec<String>,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed(label) => write!(f, "`{label}` was changed meanwhile"),
            Self::KeyExists(label) => write!(f, "the token has `{label}` already"),
            Self::KeyMissing(label) => write!(f, "the token has no `{label}`"),
            Self::KeyTwice(label) => write!(f, "the token has `{label}` twice"),
            Self::OtherRoot => f.write_str(
                "it has another root than this gateway's token: another token took its place",
            ),
            Self::LoginFailed(text) => write!(f, "the login failed: {text}"),
            Self::MadeTwice(label) => write!(f, "`{label}` was made by another at the same time"),
            Self::Module(text) | Self::NotPossible(text) => f.write_str(text),
            Self::PinRefused(text) => write!(f, "the token refuses the PIN: {text}"),
            Self::TokenMissing(label) => write!(f, "no slot has an initialized token `{label}`"),
            Self::TokenTwice { label, serials } => write!(
                f,
                "{} tokens have the label `{label}`, with the serial numbers {}",
                serials.len(),
                serials.join(", ")
            ),
        }
    }
}

/// Bytes, as base64 in JSON; wiped when dropped, since seeds are among them.
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

/// A frame with `message` in it.
pub fn frame(message: &impl Serialize) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut count = Count(0);
    serde_json::to_writer(&mut count, message)?;
    let length = u32::try_from(count.0).map_err(std::io::Error::other)?;
    // INVARIANT: the buffer has its whole length from the start. One that grows leaves what was in it
    // behind, and that is a PIN, a root or a private key.
    let mut frame = Zeroizing::new(Vec::with_capacity(LENGTH_BYTES.saturating_add(count.0)));
    frame.extend_from_slice(&length.to_be_bytes());
    serde_json::to_writer(&mut *frame, message)?;
    Ok(frame)
}

/// Counts what is written.
struct Count(usize);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How long the frame is whose length this is.
pub fn frame_bytes(length: [u8; LENGTH_BYTES]) -> std::io::Result<usize> {
    usize::try_from(u32::from_be_bytes(length))
        .ok()
        .filter(|bytes| *bytes <= FRAME_BYTES_MAX)
        .ok_or_else(|| std::io::Error::other("a frame is too long"))
}

pub fn write(mut stream: impl Write, message: &impl Serialize) -> std::io::Result<()> {
    stream.write_all(&frame(message)?)
}

/// The next message; none at the end.
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
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_knows_the_end() {
        let call = Call::Derive {
            message: vec![0, 255, 7].into(),
        };
        let bytes = frame(&Request {
            id: 7,
            call,
            root: None,
        })
        .expect("a frame");
        let mut stream = bytes.as_slice();
        let request: Request = read(&mut stream).expect("reads").expect("a message");
        assert!(
            request.id == 7
                && matches!(request.call, Call::Derive { message } if *message.0 == [0, 255, 7])
        );
        assert!(read::<Request>(&mut stream).expect("reads").is_none());
    }

    /// Whether `SECRET`'s text, as a frame has it, is anywhere in this process's memory. It is sought without
    /// being written down.
    fn is_in_memory() -> bool {
        use std::os::unix::fs::FileExt as _;
        const MASK: u8 = 0x55;
        let needle: Vec<_> = (0..64).map(|at| b"tust"[at % 4] ^ MASK).collect();
        let memory = std::fs::File::open("/proc/self/mem").expect("Linux");
        let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
        let regions = maps.lines().filter(|line| line.contains(" rw"));
        let mut bytes = vec![0; 1 << 20];
        for region in regions {
            let range = region.split(' ').next().and_then(|it| it.split_once('-'));
            let (start, end) = range.expect("a range");
            let number = |hex| u64::from_str_radix(hex, 16).expect("a number");
            let (mut at, end) = (number(start), number(end));
            // A region may go while it is read.
            while let Ok(count @ 64..) = memory.read_at(&mut bytes, at) {
                let inside = usize::try_from(end - at).map_or(count, |it| it.min(count));
                let found = bytes[..inside].windows(needle.len());
                let is_it = |it: &[u8]| it.iter().zip(&needle).all(|(a, b)| *a ^ MASK == *b);
                if found.into_iter().any(is_it) {
                    return true;
                }
                at += u64::try_from(count).expect("small") - 63;
                if at + 64 > end {
                    break;
                }
            }
        }
        false
    }

    /// A buffer that grows leaves what was in it behind.
    #[test]
    fn no_secret_is_left_in_memory_by_a_frame() {
        const SECRET: [u8; 3] = [0xb6, 0xeb, 0x2d];
        let secret: Bytes = SECRET.repeat(100).into();
        // What comes after it makes a buffer grow.
        let message = (secret, "x".repeat(10_000));
        let bytes = frame(&message).expect("a frame");
        assert!(is_in_memory(), "while it is used");
        drop(bytes);
        assert!(!is_in_memory(), "and no longer");
    }

    #[test]
    fn our_own_words_are_not_told_as_the_modules() {
        let text = "8 workers that were killed have not ended";
        assert_eq!(Fault::Module(text.to_owned()).to_string(), text);
    }

    #[test]
    fn a_frame_is_bounded() {
        let bytes = |length: usize| u32::try_from(length).expect("short").to_be_bytes();
        assert!(frame_bytes(bytes(FRAME_BYTES_MAX)).is_ok());
        assert!(frame_bytes(bytes(FRAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_key_is_safe_if_it_stays_and_signs_only() {
        let safe = Flags {
            sensitive: true,
            extractable: false,
            never_extractable: false,
            sign: true,
            more: false,
        };
        assert!(safe.are_safe());
        for unsafe_ in [
            Flags {
                sensitive: false,
                ..safe
            },
            Flags {
                extractable: true,
                ..safe
            },
            Flags {
                sign: false,
                ..safe
            },
            Flags { more: true, ..safe },
        ] {
            assert!(!unsafe_.are_safe(), "{unsafe_:?}");
        }
    }
}
