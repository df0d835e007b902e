//! How far clocks and views of the state may be apart, and how long a key is published because of it.

use vouchsafe_signer::MAX_AGE_SECONDS;

/// Furthest that a signer's clock may be from its gateway's before it signs no more.
pub const CLOCK_SKEW_SECONDS_MAX: u64 = 30;
/// For how long an answer to `GET /v1/keys` is not asked for again.
pub const KEYS_FRESH_SECONDS: u64 = 60;
/// How old a gateway's knowledge of the states may be when it signs.
pub const STATES_FRESH_SECONDS: u64 = 5;
/// For how long a version is published before it signs: for as long as a verifier may keep a set
/// that lacks it, the broker may have made that set without it, the gateway may not have known of it, and
/// the clocks of two gateways may differ.
pub const PUBLISHED_SECONDS_MIN: u64 =
    MAX_AGE_SECONDS + KEYS_FRESH_SECONDS + STATES_FRESH_SECONDS + 2 * CLOCK_SKEW_SECONDS_MAX;
/// For how long a version is published after it signed, beyond the longest life of its tokens. Clocks
/// that differ, an `iat` ahead and a verifier's leeway are within it.
pub const WITHDRAWN_SECONDS_MIN: u64 = MAX_AGE_SECONDS;
