//! The log's leaf of a record: a commitment that reveals nothing of the record without its salt.
//!
//! Committed is what never changes. Counters of repeated refusals change, so they are not part of it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vouchsafe_tlog::{Hash, encode, leaf_hash};

use crate::database::Value;
use crate::error::{Cause, Error};

/// The columns that a leaf commits to, in this order.
pub const COMMITTED: [&str; 25] = [
    "decision_id",
    "decided_at_ms",
    "outcome",
    "slug",
    "bundle_digest",
    "determining_rules",
    "erring_rules",
    "cedar_request",
    "issuer_name",
    "subject",
    "subject_jti",
    "subject_digest",
    "audience",
    "scopes",
    "kid",
    "expires_at",
    "timings",
    "generation_of",
    "generation",
    "actors",
    "refused",
    "token_digest",
    "jkt",
    "status_list",
    "status_index",
];
const ROW_LABEL: &str = "vouchsafe-record-v1";
const ENTRY_LABEL: &str = "vouchsafe-leaf-v1";

/// A leaf of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// What the leaf hash is the hash of: whoever has the token and this can check that the log has the token.
    pub entry: Vec<u8>,
    pub hash: Hash,
}

impl Leaf {
    /// The leaf of a record with these values of [`COMMITTED`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a value has another type than its column.
    pub fn of<'a>(salt: &[u8; 32], values: impl Iterator<Item = &'a Value> + Clone) -> Result<Self, Error> {
        let unexpected = || Error::Unavailable(Cause::UnexpectedRow);
        let mut mac = Hmac::<Sha256>::new_from_slice(salt).map_err(|_| unexpected())?;
        mac.update(&record(values.clone()).ok_or_else(unexpected)?);
        let commitment = mac.finalize().into_bytes();
        let named = |name| COMMITTED.iter().zip(values.clone()).find(|(column, _)| **column == name);
        let text = |name| match named(name) {
            Some((_, Value::Text(text))) => Ok(text.as_bytes()),
            Some((_, Value::Null)) => Ok([].as_slice()),
            _ => Err(unexpected()),
        };
        let Some((_, Value::Integer(expires_at))) = named("expires_at") else {
            return Err(unexpected());
        };
        let mut entry = Vec::new();
        let fields = [
            ENTRY_LABEL.as_bytes(),
            text("decision_id")?,
            text("token_digest")?,
            &expires_at.to_be_bytes(),
            text("kid")?,
            &commitment,
        ];
        for field in fields {
            push(&mut entry, field).ok_or_else(unexpected)?;
        }
        Ok(Self { hash: leaf_hash(&entry), entry })
    }

    /// The hash as the database has it.
    #[must_use]
    pub fn text(&self) -> String {
        encode(&self.hash)
    }
}

/// The columns that are not null with their names and types, so that a later version can add columns.
fn record<'a>(values: impl Iterator<Item = &'a Value>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    push(&mut bytes, ROW_LABEL.as_bytes())?;
    for (name, value) in COMMITTED.iter().zip(values) {
        match value {
            Value::Null => {}
            Value::Integer(number) => {
                push(&mut bytes, name.as_bytes())?;
                bytes.push(1);
                push(&mut bytes, &number.to_be_bytes())?;
            }
            Value::Text(text) => {
                push(&mut bytes, name.as_bytes())?;
                bytes.push(2);
                // As PostgreSQL stores it.
                push(&mut bytes, text.replace('\0', "\u{fffd}").as_bytes())?;
            }
            Value::Blob(_) | Value::Real(_) => return None,
        }
    }
    Some(bytes)
}

/// Appends a field after its length, so that no two lists of fields are equal.
fn push(bytes: &mut Vec<u8>, field: &[u8]) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(field.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(field);
    Some(())
}
