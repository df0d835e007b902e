//! Verifies tokens that a broker issued, as a strict API does it.
//!
//! [`verify`] checks one token against [`Rules`] and the broker's [`Keys`]; [`KeyCache`] says when to fetch those. Does
//! not fetch anything, and has no clock.
//!
//! ```
//! use vouchsafe_verifier::{Check, KeyCache, Rules, verify};
//!
//! let rules = Rules { scopes: &["read"], ..Rules::access_token("https://broker.example", "https://api.example") };
//! let mut cache = KeyCache::default();
//! let (unix_seconds, monotonic_seconds) = (1_800_000_000, 0);
//! if cache.is_due(monotonic_seconds) {
//!     cache.attempt(monotonic_seconds);
//!     // GET https://broker.example/.well-known/jwks.json over TLS, without redirects
//!     let fetched = br#"{"keys":[]}"#;
//!     cache.store(fetched, monotonic_seconds).unwrap();
//! }
//! let keys = cache.keys(monotonic_seconds).expect("503: the broker's keys cannot be fetched");
//! let refused = verify("a.b.c", keys, &rules, unix_seconds).unwrap_err();
//! assert_eq!(refused.check, Check::Token); // 401; 403 if it is `Check::Scope`
//! ```
//!
//! An API that must learn of revocations within seconds follows the broker's list of them with [`Revocations`], in the same
//! way: every 2 s, GET `https://broker.example/revocations`. Without a recent list, it accepts nothing.
//!
//! For audiences with status lists, [`StatusLists`] says which list to fetch for a token, and checks the token's bit in it.
//!
//! If the key is unknown ([`Check::Key`]) and the cache still [`may_attempt`](KeyCache::may_attempt), fetch once more
//! and verify again.

#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "tests may panic"
    )
)]

mod cache;
mod document;
mod error;
mod keys;
mod revocations;
mod status;
mod verify;

pub use cache::KeyCache;
pub use error::{Check, VerificationError};
pub use keys::Keys;
pub use revocations::{REVOCATIONS_BYTES_MAX, REVOCATIONS_TYP, RevocationList, Revocations};
pub use status::{
    STATUS_LIST_BYTES_MAX, STATUS_LIST_INFLATED_BYTES_MAX, STATUS_LIST_TYP, STATUS_LISTS_MAX, StatusList, StatusLists,
};
pub use verify::{ACCESS_TOKEN_TYP, JWT_TYP, Rules, VerifiedToken, check_header, verify, verify_signature};
pub use vouchsafe_jose::Algorithm;
pub use vouchsafe_x509::{PinnedLeaf, PinnedRoot};

#[cfg(test)]
mod tests;
