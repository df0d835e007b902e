//! When the broker's keys are fetched.

use crate::error::VerificationError;
use crate::keys::Keys;

/// How long keys are used, as the `cache-control` of the JWK Set says.
const FRESH_SECONDS: u64 = 300;
/// How long after their fetch keys are used while the broker can't be reached.
const STALE_SECONDS_MAX: u64 = 3600;
/// Strangers can send any `kid`, so each can't cause a fetch.
const ATTEMPT_SECONDS_MIN: u64 = 10;

/// The keys of one broker. Times are seconds of a monotonic clock.
#[derive(Debug, Default)]
pub struct KeyCache {
    keys: Option<(Keys, u64)>,
    attempted: Option<u64>,
}

impl KeyCache {
    /// Whether the keys are too old, or absent, and may be fetched now.
    #[must_use]
    pub fn is_due(&self, now: u64) -> bool {
        let is_old = self.keys.as_ref().is_none_or(|(_, fetched)| now.saturating_sub(*fetched) >= FRESH_SECONDS);
        is_old && self.may_attempt(now)
    }

    /// Whether the last attempt is long enough ago for another, such as for an unknown `kid`.
    #[must_use]
    pub fn may_attempt(&self, now: u64) -> bool {
        self.attempted.is_none_or(|attempted| now.saturating_sub(attempted) >= ATTEMPT_SECONDS_MIN)
    }

    /// Notes that the keys are being fetched, whatever comes of it.
    pub fn attempt(&mut self, now: u64) {
        self.attempted = Some(now);
    }

    /// Takes over what was fetched. Keys from before stay if it is no key set.
    ///
    /// # Errors
    /// [`Check::KeySet`](crate::Check::KeySet).
    pub fn store(&mut self, jwks: &[u8], now: u64) -> Result<(), VerificationError> {
        self.keys = Some((Keys::parse(jwks)?, now));
        Ok(())
    }

    /// The keys, unless there are none or they are too old.
    #[must_use]
    pub fn keys(&self, now: u64) -> Option<&Keys> {
        let (keys, fetched) = self.keys.as_ref()?;
        (now.saturating_sub(*fetched) < STALE_SECONDS_MAX).then_some(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = br#"{"keys":[]}"#;

    #[test]
    fn keys_are_due_every_five_minutes() {
        let mut cache = KeyCache::default();
        assert!(cache.is_due(1000));
        cache.attempt(1000);
        cache.store(EMPTY, 1000).unwrap();
        for (now, expected) in [(1000, false), (1299, false), (1300, true)] {
            assert_eq!(cache.is_due(now), expected, "{now}");
        }
    }

    #[test]
    fn attempts_are_ten_seconds_apart() {
        let mut cache = KeyCache::default();
        cache.attempt(1000);
        for (now, expected) in [(1000, false), (1009, false), (1010, true)] {
            assert_eq!((cache.may_attempt(now), cache.is_due(now)), (expected, expected), "{now}");
        }
    }

    #[test]
    fn old_keys_are_used_for_an_hour() {
        let mut cache = KeyCache::default();
        assert!(cache.keys(1000).is_none());
        cache.store(EMPTY, 1000).unwrap();
        assert_eq!(cache.store(b"<html>", 1200).unwrap_err().reason, "the key set is not strict JSON");
        for (now, expected) in [(1000, true), (4599, true), (4600, false)] {
            assert_eq!(cache.keys(now).is_some(), expected, "{now}");
        }
    }
}
