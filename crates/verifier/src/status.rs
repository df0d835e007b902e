//! Token Status Lists (draft-ietf-oauth-status-list-21): a signed document with one bit for each of many tokens.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use vouchsafe_jose::{Json, JsonObject};

use crate::document::{Document, Kind, POLL_SECONDS, is_fresh};
use crate::error::{Check, VerificationError};
use crate::keys::Keys;
use crate::verify::{Rules, VerifiedToken};

/// The header's `typ` of the document.
pub const STATUS_LIST_TYP: &str = "statuslist+jwt";
/// Longest document, in bytes, inclusive.
pub const STATUS_LIST_BYTES_MAX: usize = 64 * 1024;
/// Longest list once it is decompressed, in bytes, inclusive.
pub const STATUS_LIST_INFLATED_BYTES_MAX: usize = 1024 * 1024;
/// Most lists of which the latest is kept. A broker fills one after the other.
pub const STATUS_LISTS_MAX: usize = 64;
const KIND: Kind = Kind { name: "status list", typ: STATUS_LIST_TYP, bytes_max: STATUS_LIST_BYTES_MAX };

/// A verified list.
#[derive(Debug)]
pub struct StatusList {
    issued_at: u64,
    expires_at: u64,
    statuses: Statuses,
}

/// Statuses of 1, 2, 4 or 8 bits.
#[derive(Debug, PartialEq, Eq)]
struct Statuses {
    bits: u64,
    bytes: Vec<u8>,
}

impl StatusList {
    /// Verifies the document at `uri` of the issuer in `rules`, whose root and leeway count too, at `now` in Unix seconds.
    ///
    /// # Errors
    /// The first check that fails: [`Check::Key`] if other keys may help.
    //
    // ORDER: the signature before anything is decompressed.
    pub fn verify(
        document: &str,
        uri: &str,
        keys: &Keys,
        rules: &Rules<'_>,
        now: u64,
    ) -> Result<Self, VerificationError> {
        let Document { claims, issued_at, expires_at } = KIND.verify(document, keys, rules, now)?;
        KIND.require(&claims, "sub", uri)?;
        let list = claims.get("status_list").and_then(Json::as_object).ok_or_else(|| KIND.invalid("status_list"))?;
        Ok(Self { issued_at, expires_at, statuses: Statuses::parse(list)? })
    }
}

impl Statuses {
    fn parse(list: &JsonObject) -> Result<Self, VerificationError> {
        let bits = KIND.number(list, "bits")?;
        if ![1, 2, 4, 8].contains(&bits) {
            return Err(KIND.invalid("bits"));
        }
        let text = list.get("lst").and_then(Json::as_text).ok_or_else(|| KIND.invalid("lst"))?;
        let compressed = URL_SAFE_NO_PAD.decode(text).map_err(|_| KIND.invalid("lst"))?;
        // INVARIANT: no list takes more memory than this, however well it is compressed.
        let bytes = decompress_to_vec_zlib_with_limit(&compressed, STATUS_LIST_INFLATED_BYTES_MAX)
            .map_err(|_| KIND.wrong("`lst` is not a zlib stream, or inflates to more than 1 MiB"))?;
        Ok(Self { bits, bytes })
    }

    /// The status at `index`; the first one is in the lowest bits of a byte.
    fn get(&self, index: u64) -> Option<u8> {
        let first_bit = index.checked_mul(self.bits)?;
        let byte = *self.bytes.get(usize::try_from(first_bit / 8).ok()?)?;
        let shifted = byte.checked_shr(u32::try_from(first_bit % 8).ok()?)?;
        let mask = u8::MAX.checked_shr(u32::try_from(8_u64.checked_sub(self.bits)?).ok()?)?;
        Some(shifted & mask)
    }
}

/// Where the status of a token is (`status.status_list`).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference {
    uri: String,
    index: u64,
}

impl Reference {
    /// The reference in `token`.
    ///
    /// INVARIANT: the list is one of the broker's own, so nothing in a token has another server asked.
    fn of(token: &VerifiedToken, rules: &Rules<'_>) -> Result<Self, VerificationError> {
        let missing = || VerificationError::new(Check::Claims, "the token names no status list of its issuer");
        let list = token.claims.get("status").and_then(|status| status.get("status_list")).ok_or_else(missing)?;
        let uri = list.get("uri").and_then(serde_json::Value::as_str).ok_or_else(missing)?;
        let index = list.get("idx").and_then(serde_json::Value::as_u64).ok_or_else(missing)?;
        let name = uri.strip_prefix(rules.issuer.trim_end_matches('/')).and_then(|path| path.strip_prefix("/status/"));
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit() || it == b'-');
        match name.is_some_and(is_name) {
            true => Ok(Self { uri: uri.to_owned(), index }),
            false => Err(missing()),
        }
    }
}

/// The latest lists of one broker, and when to fetch the next ones.
#[derive(Debug, Default)]
pub struct StatusLists {
    known: BTreeMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    latest: Option<StatusList>,
    /// Seconds of a monotonic clock.
    attempted: u64,
}

impl StatusLists {
    /// The URL of the list to fetch before `token` is checked, in seconds of a monotonic clock; none if that is not due.
    ///
    /// # Errors
    /// [`Check::Claims`] if the token names no list.
    pub fn due(&self, token: &VerifiedToken, rules: &Rules<'_>, now: u64) -> Result<Option<String>, VerificationError> {
        let Reference { uri, .. } = Reference::of(token, rules)?;
        let is_recent = |known: &Known| now.saturating_sub(known.attempted) < POLL_SECONDS;
        Ok(Some(uri).filter(|uri| !self.known.get(uri).is_some_and(is_recent)))
    }

    /// Notes that the list at `uri` is being fetched, whatever comes of it. Of too many lists, the one that was fetched
    /// longest ago is forgotten.
    pub fn attempt(&mut self, uri: &str, now: u64) {
        if !self.known.contains_key(uri) && self.known.len() >= STATUS_LISTS_MAX {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.attempted).map(|(uri, _)| uri.clone());
            oldest.map(|uri| self.known.remove(&uri));
        }
        self.known.entry(uri.to_owned()).or_default().attempted = now;
    }

    /// Takes over the document from `uri` at `now`, in Unix seconds. The list from before stays if it isn't valid, or if it
    /// is older.
    ///
    /// # Errors
    /// As [`StatusList::verify`].
    pub fn store(
        &mut self,
        uri: &str,
        document: &str,
        keys: &Keys,
        rules: &Rules<'_>,
        now: u64,
    ) -> Result<(), VerificationError> {
        let list = StatusList::verify(document, uri, keys, rules, now)?;
        let known = self.known.entry(uri.to_owned()).or_default();
        if known.latest.as_ref().is_some_and(|latest| list.issued_at < latest.issued_at) {
            return Err(KIND.wrong("it is older than the one before"));
        }
        known.latest = Some(list);
        Ok(())
    }

    /// Checks that the token's status is valid, at `now` in Unix seconds.
    ///
    /// # Errors
    /// [`Check::Revoked`]; [`Check::Claims`] if the token names no list; [`Check::Revocations`] without a list that is
    /// recent and long enough to tell.
    pub fn check(&self, token: &VerifiedToken, rules: &Rules<'_>, now: u64) -> Result<(), VerificationError> {
        let Reference { uri, index } = Reference::of(token, rules)?;
        let latest = self.known.get(&uri).and_then(|known| known.latest.as_ref());
        let list = latest.filter(|list| is_fresh(list.expires_at, rules, now));
        let list = list.ok_or_else(|| KIND.wrong("there is none that is recent enough"))?;
        match list.statuses.get(index) {
            Some(0) => Ok(()),
            Some(_) => Err(VerificationError::new(Check::Revoked, "the token is revoked")),
            None => Err(KIND.wrong("it has no such index")),
        }
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
