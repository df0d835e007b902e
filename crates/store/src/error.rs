//! What can go wrong: the caller broke a limit, or the database did not confirm.

use vouchsafe_types::StoreError;

/// Why the store gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing was written.
    #[error("{0}")]
    Invalid(Limit),
    /// The write may or may not have happened; nobody may rely on it.
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

/// A limit of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    #[error("audit record is too long")]
    AuditEntry,
    #[error("decision id is empty or too long")]
    DecisionId,
    #[error("document is too long")]
    DocumentBody,
    #[error("the name of whose generation it is is empty or too long")]
    GenerationOf,
    #[error("the moment until which to keep has passed already")]
    KeepUntilPassed,
    #[error("key is empty or too long")]
    Key,
    #[error("lease is zero or too long")]
    LeaseTime,
    #[error("name is empty or too long")]
    Name,
    #[error("a number is too large")]
    NumberTooLarge,
    #[error("pointer's value is too long")]
    PointerValue,
    #[error("the key of a refusal is empty or too long")]
    RefusedKey,
    #[error("a key can be used once at least")]
    Uses,
}

/// Why the database did not confirm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("access to the database is denied")]
    AccessDenied,
    #[error("the clock is before 1970")]
    Clock,
    #[error("the database has no creation mark")]
    CreationMarkMissing,
    #[error("the database is full")]
    DatabaseFull,
    #[error("the database did not answer in time")]
    Deadline,
    #[error("the call that wrote for this one was cancelled")]
    Interrupted,
    #[error("the database's connection is invalid")]
    InvalidConnection,
    /// SQLite's own words, which hold no bound value.
    #[error("the database failed: {0}")]
    Io(String),
    #[error("no such database")]
    NoSuchDatabase,
    #[error("writes to the database would not be durable")]
    NotDurable,
    #[error("the database answered with an unexpected row")]
    UnexpectedRow,
}
