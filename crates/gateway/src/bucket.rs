//! A token bucket with a burst and a sustained rate per minute. The time is a parameter.

use crate::steady::SteadySeconds;

const SECONDS_PER_MINUTE: u64 = 60;

/// A token bucket that starts full. It counts in sixtieths of a token, so that the refill per second is a whole number.
#[derive(Clone, Debug)]
pub struct Bucket {
    capacity: u64,
    per_minute: u64,
    level: u64,
    refilled_at: SteadySeconds,
}

impl Bucket {
    /// A full bucket of `burst` tokens that gains `per_minute` tokens a minute.
    #[must_use]
    pub fn full(burst: u64, per_minute: u64, now: SteadySeconds) -> Self {
        let capacity = burst.saturating_mul(SECONDS_PER_MINUTE);
        Self { capacity, per_minute, level: capacity, refilled_at: now }
    }

    /// Takes one token.
    ///
    /// # Errors
    /// The number of seconds until one is available. Nothing is taken.
    pub fn take(&mut self, now: SteadySeconds) -> Result<(), u64> {
        let passed = now.0.saturating_sub(self.refilled_at.0);
        let gained = passed.saturating_mul(self.per_minute);
        self.level = self.level.saturating_add(gained).min(self.capacity);
        self.refilled_at = self.refilled_at.max(now);
        match self.level.checked_sub(SECONDS_PER_MINUTE) {
            Some(level) => {
                self.level = level;
                Ok(())
            }
            None => {
                let missing = SECONDS_PER_MINUTE.saturating_sub(self.level);
                Err(missing.div_ceil(self.per_minute.max(1)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000;

    /// How many tokens can be taken at once, and the seconds until the next one.
    #[track_caller]
    fn check(bucket: &mut Bucket, now: u64, taken: u64, retry_after: u64) {
        for number in 1..=taken {
            assert_eq!(bucket.take(SteadySeconds(now)), Ok(()), "{number} at {now}");
        }
        let refused = bucket.take(SteadySeconds(now));
        assert_eq!(refused, Err(retry_after), "after {taken} at {now}");
    }

    #[test]
    fn allows_a_burst_then_the_sustained_rate() {
        let mut bucket = Bucket::full(5, 120, SteadySeconds(NOW));
        check(&mut bucket, NOW, 5, 1);
        check(&mut bucket, NOW + 1, 2, 1);
        check(&mut bucket, NOW + 3, 4, 1);
        check(&mut bucket, NOW + 86_400, 5, 1);
    }

    #[test]
    fn reports_when_a_slow_bucket_refills() {
        let mut bucket = Bucket::full(1, 7, SteadySeconds(NOW));
        // 60 / 7 s.
        check(&mut bucket, NOW, 1, 9);
        check(&mut bucket, NOW + 8, 0, 1);
        check(&mut bucket, NOW + 9, 1, 9);
    }

    #[test]
    fn backward_clock_refills_nothing() {
        let mut bucket = Bucket::full(1, 60, SteadySeconds(NOW));
        check(&mut bucket, NOW, 1, 1);
        check(&mut bucket, NOW - 500, 0, 1);
        check(&mut bucket, NOW, 0, 1);
        check(&mut bucket, NOW + 1, 1, 1);
    }

    #[test]
    fn extreme_rates_neither_overflow_nor_divide_by_zero() {
        let mut large = Bucket::full(u64::MAX, u64::MAX, SteadySeconds(0));
        assert_eq!(large.take(SteadySeconds(u64::MAX)), Ok(()));
        let mut none = Bucket::full(0, 0, SteadySeconds(0));
        assert_eq!(none.take(SteadySeconds(NOW)), Err(60));
    }
}
