//! Checks that the answer for a credential stays within its limit, whatever versions its keys will have.

use super::entries::{Group, KeyRule};
use crate::versions::PUBLISHED_MAX;
use crate::wire::ANSWER_BYTES_MAX;

/// Most `[[key]]`s of a group. With five versions of each and sixteen epoch keys, its JWK Set stays below the hundred keys
/// that our verifiers accept.
pub(super) const KEYS_PER_GROUP_MAX: usize = 16;
/// Previous, current and next two epochs of the current and the standby generation.
const EPOCH_KEYS_PER_ALGORITHM: usize = 8;
/// An epoch key with its certificate, without the issuer URL: about 1,000 bytes.
const EPOCH_KEY_BYTES: usize = 1_500;
/// An RSA-4096 key with its name, without its audiences: about 1,000 bytes.
const TOKEN_KEY_BYTES: usize = 1_500;

pub(super) fn keys_of<'k>(keys: &'k [KeyRule], group: &'k str) -> impl Iterator<Item = &'k KeyRule> {
    keys.iter().filter(move |key| key.group == group)
}

/// Whether `GET /v1/keys` stays below [`ANSWER_BYTES_MAX`] for a caller who may use `groups`.
pub(super) fn answer_fits<'g>(groups: impl Iterator<Item = &'g Group>, keys: &[KeyRule]) -> bool {
    let sizes = groups.map(|group| {
        let of_keys: usize = keys_of(keys, &group.name).map(bytes_of_key).sum();
        of_keys.saturating_add(bytes_of_group(group))
    });
    sizes.fold(0, usize::saturating_add) <= ANSWER_BYTES_MAX
}

fn bytes_of_group(group: &Group) -> usize {
    // The certificate contains the issuer URL once, in base64.
    let key = EPOCH_KEY_BYTES.saturating_add(group.issuer.len().saturating_mul(2));
    let keys = EPOCH_KEYS_PER_ALGORITHM.saturating_mul(group.algorithms.len());
    keys.saturating_mul(key)
}

fn bytes_of_key(key: &KeyRule) -> usize {
    // Quotes and backslashes take two bytes.
    let audiences = key.audiences.iter();
    let audiences: usize = audiences.map(|it| it.len().saturating_mul(2).saturating_add(3)).sum();
    PUBLISHED_MAX.saturating_mul(TOKEN_KEY_BYTES.saturating_add(audiences))
}
