//! Every limit of the exchange, with its unit. Each is tested on both sides.

/// Largest accepted request body, in bytes, inclusive.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Largest accepted subject token, in bytes, inclusive. `vouchsafe-identity` has the same limit.
pub const SUBJECT_TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Largest secret of a client, in bytes, inclusive.
pub const CLIENT_SECRET_BYTES_MAX: usize = 1024;

/// Most parameters in one form; RFC 8693 and common clients need about a dozen.
pub const PARAMETERS_MAX: usize = 64;

/// Longest `audience` or `resource`, in bytes, inclusive.
pub const AUDIENCE_BYTES_MAX: usize = 2048;

/// Most scopes in one request, inclusive.
pub const SCOPES_MAX: usize = 32;

/// Longest scope, in bytes, inclusive. Policy and signer have the same limit.
pub const SCOPE_BYTES_MAX: usize = 256;

/// Shortest life of an issued token, in seconds.
pub const LIFETIME_SECONDS_MIN: u64 = 1;

/// Longest time from verifying a token to consuming its use, in seconds, inclusive; also how far the clock may be set
/// back meanwhile. The signer refuses an `iat` more than 15 s from its own clock. At most two store calls of 2 s each
/// separate use and signature, so with rounding at both ends, a token consumed in time can be signed.
pub const EXCHANGE_SECONDS_MAX: u64 = 7;

/// Longest time for which a token gets no decision after its subject was denied too often, in seconds, inclusive: the
/// minute in which the store counts.
pub const LIMITED_SECONDS_MAX: u64 = 60;

/// Most rate-limited tokens that one instance remembers; the one whose minute ends first is evicted first.
pub const LIMITED_TOKENS_MAX: usize = 1024;

/// Extra retention of a replay entry after its token can no longer be accepted, in seconds. Covers clock skew between
/// hosts that share a store.
pub const REPLAY_MARGIN_SECONDS: u64 = 60;

pub use vouchsafe_types::{ACTORS_BYTES_MAX, ACTORS_MAX, PROOF_AGE_SECONDS_MAX, PROOF_BYTES_MAX};

/// Most issuers whose keys one instance keeps in memory; the oldest is evicted first.
pub const KEY_SETS_IN_MEMORY_MAX: usize = 64;

/// Time in which an issuer is fetched at most once for aging keys, and once for unknown `kid`s, in milliseconds.
pub const FETCH_WINDOW_MS: u64 = 10_000;

/// Longest backoff from a failing issuer, in seconds; the first lasts one window, and each failure doubles it.
pub const FETCH_BACKOFF_SECONDS_MAX: u64 = 60;

/// How far ahead the clock of a host may be for its fetched keys to be accepted, in seconds, inclusive.
pub const CLOCK_AHEAD_SECONDS_MAX: u64 = 30;

/// Largest `max_token_age` and `leeway` in an issuer file, in seconds: a use is remembered for as long as any bundle
/// could accept the token.
pub const TOKEN_AGE_SECONDS_MAX: u64 = 24 * 3600;
pub const LEEWAY_SECONDS_MAX: u64 = 60;

/// Keys are refreshed at most this fraction (1/n) of their lifetime early.
pub const REFRESH_AHEAD_DIVISOR: u64 = 4;

/// How long a request waits for another one's fetch from the same issuer, in milliseconds.
pub const FETCH_WAIT_MS: u64 = 5_000;

/// Poll interval while waiting, in milliseconds.
pub const FETCH_POLL_MS: u64 = 50;

/// Log lines that one instance writes per minute about requests without a decision, for each route and slug.
pub const LINES_PER_MINUTE_MAX: u64 = 100;
