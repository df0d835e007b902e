//! What the store keeps, and how it answers.

use crate::status::StatusReference;
use crate::wit_enum::wit_enum;

/// One use of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUse {
    pub key: String,
    /// How often the key may be used: 1 or more.
    pub uses_max: u32,
    /// When the token, or the proof, was issued.
    pub issued_at: u64,
    /// Until when the use is remembered.
    pub keep_until: u64,
}

wit_enum! {
    /// The outcome of consuming a key.
    pub enum Consumption {
        /// A use that is allowed; now recorded.
        Fresh,
        /// Issued before this store existed, so an earlier store may have seen a use.
        PredatesStore,
        /// Used up before.
        Spent,
    }
}

/// A number that only grows: a generation of epoch keys, of one issuer and key group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Whose generations these are.
    pub of: String,
    pub number: u64,
}

wit_enum! {
    /// The two kinds of refusals, which are counted separately.
    pub enum RefusedKind {
        Denial,
        /// A component that the decision needed was unavailable.
        Outage,
    }
}

/// How a refusal is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub kind: RefusedKind,
    /// Refusals with the same key are repeats.
    pub key: String,
}

/// One decision about a verified token. Never a token, a key or a credential (I6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditRecord {
    /// Random, 128 bits, base64url; also the issued token's `jti`.
    pub decision_id: String,
    pub decided_at_ms: u64,
    /// None for an issued token.
    pub refused: Option<Refused>,
    /// The reason; `issued` for an issued token.
    pub slug: String,
    pub bundle_digest: String,
    pub determining_rules: Vec<String>,
    pub erring_rules: Vec<String>,
    /// The Cedar request and entities as JSON; empty if policy was not asked.
    pub cedar_request: String,
    pub issuer_name: String,
    pub subject: String,
    /// The subject token's `jti`, or empty.
    pub subject_jti: String,
    /// Hex SHA-256 of the subject token's signing input.
    pub subject_digest: String,
    pub audience: String,
    pub scopes: Vec<String>,
    /// Of the issued token; empty if none was issued.
    pub kid: String,
    /// Of the issued token; 0 if none was issued.
    pub expires_at: u64,
    /// Name and duration in microseconds of each step.
    pub timings: Vec<(String, u64)>,
    /// The generation of the key that signed the issued token.
    pub generation: Option<Generation>,
    /// Who acts for the subject: the current actor first, then those before.
    pub actors: Vec<RecordedActor>,
    /// Hex SHA-256 of the issued token's signing input; empty if none was issued.
    pub token_digest: String,
    /// The key of the proof of possession, to which the issued token is bound (RFC 7638).
    pub key_thumbprint: Option<String>,
    /// Where the status of the issued token is.
    pub status: Option<StatusReference>,
    /// 256 random bits that hide the record in the log.
    pub salt: (u64, u64, u64, u64),
}

/// An actor as an audit record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedActor {
    /// Name of its issuer file; its `iss` if no file has that.
    pub issuer_name: String,
    pub subject: String,
}

/// A refusal over a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// The entry that counts the refusal; may be its own.
    pub decision_id: String,
    /// End of the minute, in Unix seconds.
    pub until: u64,
}

/// The outcome of recording an audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// Stored under its own decision id.
    Written,
    /// Counted on the entry with this decision id.
    Counted(String),
    /// Counted on an entry for everything over a limit.
    Limited(Limited),
    /// A revocation in force matches the token; nothing was written.
    Revoked,
    /// A higher generation was already recorded; nothing was written.
    Superseded,
}

/// The head of a log's tree, not published yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// Names the log within this broker.
    pub log: u64,
    pub size: u64,
    /// 32 bytes.
    pub root: Vec<u8>,
    /// The revision of the pointer with the checkpoint before; none if there is none.
    pub revision: Option<u64>,
}

/// Whether a decision is in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogProof {
    /// With the proof (C2SP tlog-proof).
    Included(String),
    /// Recorded, but no checkpoint covers it yet.
    Pending,
    /// No such decision has a leaf.
    Unknown,
}

wit_enum! {
    /// Free space for the database, as last reported by the host.
    pub enum Space {
        /// Not reported within the last 15 s.
        Unknown,
        Ok,
        Low,
    }
}

/// A named text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub body: String,
    /// Unix seconds after which it may be swept.
    pub keep_until: u64,
}

/// A named text that changes only from a known revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    pub value: String,
    pub revision: u64,
}

/// Why the store did not answer, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("store: {0}")]
    Invalid(String),
    #[error("{0}")]
    Unavailable(String),
}
