//! Errors: a call exceeds a limit, or the database did not confirm.

use vouchsafe_types::StoreError;

/// Why the store can't answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("{0}")]
    Invalid(Limit),
    /// The write may or may not have happened.
    #[error("{0}")]
    Unavailable(Cause),
}

impl Error {
    /// Stable name for logs, the audit record and tests.
    pub fn slug(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "store.invalid",
            Self::Unavailable(_) => "store.unavailable",
        }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(limit) => Self::Invalid(limit.to_string()),
            Error::Unavailable(cause) => Self::Unavailable(cause.to_string()),
        }
    }
}

/// A limit that a call exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    #[error("audit record is too long")]
    AuditEntry,
    #[error("decision id is empty or too long")]
    DecisionId,
    #[error("document is too long")]
    DocumentBody,
    #[error("a field of a filter or a reason is empty or too long")]
    Filter,
    #[error("generation name is empty or too long")]
    GenerationOf,
    #[error("`keep_until` has already passed")]
    KeepUntilPassed,
    #[error("key is empty or too long")]
    Key,
    #[error("lease is zero or too long")]
    LeaseTime,
    #[error("name is empty or too long")]
    Name,
    #[error("number is too large")]
    NumberTooLarge,
    #[error("pointer value is too long")]
    PointerValue,
    #[error("refusal key is empty or too long")]
    RefusedKey,
    #[error("no tokens or too many")]
    Tokens,
    #[error("`uses_max` is 0")]
    Uses,
    #[error("two uses are of one key")]
    UsesEqual,
    #[error("no uses or too many")]
    UsesPerCall,
}

/// Why the database did not confirm a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("access to the database denied")]
    AccessDenied,
    #[error("the clock is before 1970")]
    Clock,
    #[error("the record was changed again and again meanwhile")]
    Contention,
    #[error("the database has no creation mark")]
    CreationMarkMissing,
    #[error("the database is full")]
    DatabaseFull,
    #[error("the database did not answer in time")]
    Deadline,
    #[error("the call that ran the shared statement was cancelled")]
    Interrupted,
    #[error("invalid database connection")]
    InvalidConnection,
    /// SQLite's message, or PostgreSQL's SQLSTATE: neither contains a bound value.
    #[error("the database failed: {0}")]
    Io(String),
    #[error("no such database")]
    NoSuchDatabase,
    #[error("cannot connect to the database")]
    NotConnected,
    #[error("writes to the database would not be durable")]
    NotDurable,
    #[error("the database has no tables of the store")]
    SchemaMissing,
    #[error("the schema of the database has version {found}, but this program needs version {expected}")]
    SchemaVersion { found: u64, expected: u64 },
    /// The store may have lost revocations: it is a copy that was just restored, or its host does not run.
    #[error("the database was not marked as in use lately")]
    NotInUse,
    #[error("more tokens or workloads are revoked than one list may have")]
    TooManyRevoked,
    #[error("unexpected row from the database")]
    UnexpectedRow,
}
