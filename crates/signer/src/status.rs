//! Status list tokens (draft-ietf-oauth-status-list-21): one bit for each of many tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::json;

use crate::config::Config;
use crate::document::AllowedDocument;
use crate::error::{Ceiling, Error};
use vouchsafe_types::{STATUS_LIST_INDEXES, StatusList, UnixSeconds, is_status_list_name, status_list_url};

/// The header's `typ`. No token has it, and no verifier of tokens accepts it.
pub const STATUS_LIST_TYP: &str = "statuslist+jwt";
/// How long a verifier may use the document, in seconds.
pub const STATUS_LIST_LIFETIME_SECONDS: u64 = 15;
/// After how long a verifier should fetch the next one (`ttl`), in seconds.
const TTL_SECONDS: u64 = 2;
/// The strongest compression: a list is small.
const COMPRESSION: u8 = 9;

impl Config {
    /// Builds the claims, with this `iat`.
    ///
    /// # Errors
    /// [`Error::Refused`] with the ceiling that the list exceeds.
    pub fn allow_status_list(
        &self,
        list: &StatusList,
        issued_at: u64,
        now: UnixSeconds,
    ) -> Result<AllowedDocument, Error> {
        if !is_status_list_name(&list.name) {
            return Err(Error::Refused(Ceiling::Status));
        }
        let bits = bits(&list.revoked).ok_or(Error::Refused(Ceiling::Status))?;
        let claims = json!({
            "iss": self.issuer(),
            "sub": status_list_url(self.issuer(), &list.name),
            "iat": issued_at,
            "exp": issued_at.saturating_add(STATUS_LIST_LIFETIME_SECONDS),
            "ttl": TTL_SECONDS,
            "status_list": { "bits": 1, "lst": URL_SAFE_NO_PAD.encode(compress_to_vec_zlib(&bits, COMPRESSION)) },
        });
        self.allow_document(STATUS_LIST_TYP, claims.to_string(), issued_at, now)
    }
}

/// One bit for each index, which is set for those in `revoked`; the first index is in the lowest bit. None if one is too
/// high. Every list has the same length, so it doesn't tell how many tokens were issued.
fn bits(revoked: &[u32]) -> Option<Vec<u8>> {
    let mut bits = vec![0_u8; usize::try_from(STATUS_LIST_INDEXES / 8).ok()?];
    for index in revoked {
        let byte = bits.get_mut(usize::try_from(index / 8).ok()?)?;
        *byte |= 1_u8.checked_shl(index % 8)?;
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_the_bits_of_revoked_tokens() {
        let bits = bits(&[0, 3, 4, 5, 7, 8, 9, 13, 15, STATUS_LIST_INDEXES - 1]).unwrap();
        // The first example of the draft.
        assert_eq!(bits[..2], [0xb9, 0xa3]);
        assert_eq!((bits.len(), bits.iter().filter(|byte| **byte != 0).count(), bits[2047]), (2048, 3, 0x80));
    }

    #[test]
    fn bounds_the_index() {
        assert_eq!(bits(&[STATUS_LIST_INDEXES]), None);
        assert_eq!(bits(&[u32::MAX]), None);
        assert_eq!(bits(&[]).map(|bits| bits.len()), Some(2048));
    }
}
