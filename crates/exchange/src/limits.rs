//! Every limit of the exchange, with its unit. Each is tested on both sides.

/// Largest accepted request body, in bytes, inclusive.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Largest accepted subject token, in bytes, inclusive. Identity holds the same limit.
pub const SUBJECT_TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Most parameters in one form; the rest of RFC 8693 and of stock clients needs about a dozen.
pub const PARAMETERS_MAX: usize = 64;

/// Longest `audience` or `resource`, in bytes, inclusive.
pub const AUDIENCE_BYTES_MAX: usize = 2048;

/// Most scopes in one request, inclusive.
pub const SCOPES_MAX: usize = 32;

/// Longest scope, in bytes, inclusive. BundleInfo and signer hold the same limit.
pub const SCOPE_BYTES_MAX: usize = 256;

/// Shortest life of an issued token, in seconds.
pub const LIFETIME_SECONDS_MIN: u64 = 1;

/// Longest time from the moment at which a token is judged to its use, in seconds, inclusive; also how far the
/// clock may be set back meanwhile. The signer refuses an `iat` over 15 s from its own clock. Between use and
/// signature are at most two calls of the store of 2 s each, so with the parts of seconds at both ends a token
/// that was used in time is signed.
pub const EXCHANGE_SECONDS_MAX: u64 = 7;

/// Longest time that a token of a subject which was denied too often gets no decision, in seconds, inclusive: the
/// minute in which the store counts.
pub const LIMITED_SECONDS_MAX: u64 = 60;

/// Tokens that one instance remembers to get no decision; one whose minute ends first goes first.
pub const LIMITED_TOKENS_MAX: usize = 1024;

/// How much longer than a token can be accepted its replay entry is kept, in seconds: hosts that
/// share a store may disagree about the time by this much.
pub const REPLAY_MARGIN_SECONDS: u64 = 60;

/// Issuers whose keys one instance keeps in memory; the oldest goes first.
pub const KEY_SETS_IN_MEMORY_MAX: usize = 64;

/// Time in which an issuer is fetched at most once for expired keys, and once for unknown `kid`s,
/// in milliseconds.
pub const FETCH_WINDOW_MS: u64 = 10_000;

/// Longest time for which an issuer that fails is left alone, in seconds; the first is one window, and
/// each failure doubles it.
pub const FETCH_BACKOFF_SECONDS_MAX: u64 = 60;

/// How far the clock of another host may be ahead whose fetched keys are taken, in seconds, inclusive.
pub const CLOCK_AHEAD_SECONDS_MAX: u64 = 30;

/// Largest `max_token_age` and `leeway` that an issuer file can have, in seconds: a use is remembered for
/// as long as any bundle could accept the token.
pub const TOKEN_AGE_SECONDS_MAX: u64 = 24 * 3600;
pub const LEEWAY_SECONDS_MAX: u64 = 60;

/// The part of its life that a key set is renewed ahead of its end: at most one in so many.
pub const REFRESH_AHEAD_DIVISOR: u64 = 4;

/// How long a request waits for another one's fetch of the same issuer, in milliseconds.
pub const FETCH_WAIT_MS: u64 = 5_000;

/// How often it looks, in milliseconds.
pub const FETCH_POLL_MS: u64 = 50;

/// Log lines that one instance writes per minute for requests without a decision, for each route and slug.
pub const LINES_PER_MINUTE_MAX: u64 = 100;
