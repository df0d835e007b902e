//! Bounds on clock skew and stale state, and the publication times that follow from them.

use vouchsafe_signer::MAX_AGE_SECONDS;

/// Largest difference between the clocks of signer and gateway at which the signer still signs.
pub const CLOCK_SKEW_SECONDS_MAX: u64 = 30;
/// How long an answer to `GET /v1/keys` is reused.
pub const KEYS_FRESH_SECONDS: u64 = 60;
/// How old a gateway's view of the version states may be when it signs.
pub const STATES_FRESH_SECONDS: u64 = 5;
/// How long a version is published before it signs. The sum of: how long a verifier may keep a JWK Set without it, how
/// long the broker may serve such a set, how long a gateway may not know of it, and the skew of two gateways' clocks.
pub const PUBLISHED_SECONDS_MIN: u64 =
    MAX_AGE_SECONDS + KEYS_FRESH_SECONDS + STATES_FRESH_SECONDS + 2 * CLOCK_SKEW_SECONDS_MAX;
/// How long a version stays published after its last token expired. Covers clock skew, an `iat` in the future and a
/// verifier's leeway.
pub const WITHDRAWN_SECONDS_MIN: u64 = MAX_AGE_SECONDS;
