//! Rate limits: uses of a key per second and per day (UTC), and requests of a credential for seeds and public keys per
//! minute. The time is a parameter.
//!
//! Counts are kept in memory and restart with the gateway. They use a clock that is never set: with one that goes back,
//! uses would be returned, or blocked for as long as it was ahead.

use std::collections::BTreeMap;

use crate::bucket::Bucket;
use crate::refusal::Refusal;
use crate::rules::{Caller, KeyRule};
use crate::steady::SteadySeconds;

const SECONDS_PER_DAY: u64 = 86_400;

/// Uses of one key.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    second: u64,
    in_second: u64,
    day: u64,
    in_day: u64,
}

/// Uses of each key and requests of each credential, by name.
#[derive(Debug, Default)]
pub struct Rates {
    uses: BTreeMap<String, Count>,
    seeds: BTreeMap<String, Bucket>,
    lists: BTreeMap<String, Bucket>,
}

/// The remaining uses of a key in the current second and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatesLeft {
    pub in_second: u64,
    pub in_day: u64,
}

impl Rates {
    /// Counts one use of `key` at `now`.
    ///
    /// # Errors
    /// [`Refusal::Rate`]; nothing is counted.
    pub fn count(&mut self, key: &KeyRule, now: SteadySeconds) -> Result<RatesLeft, Refusal> {
        let SteadySeconds(now) = now;
        let count = self.uses.entry(key.name.clone()).or_default();
        let day = now.checked_div(SECONDS_PER_DAY).unwrap_or(0);
        if now > count.second {
            (count.second, count.in_second) = (now, 0);
        }
        if day > count.day {
            (count.day, count.in_day) = (day, 0);
        }
        let left = RatesLeft {
            in_second: key.requests_per_second.saturating_sub(count.in_second),
            in_day: key.requests_per_day.saturating_sub(count.in_day),
        };
        if left.in_day == 0 {
            let next_day = count.day.saturating_add(1).saturating_mul(SECONDS_PER_DAY);
            return Err(Refusal::Rate { retry_after_seconds: next_day.saturating_sub(now).max(1) });
        }
        if left.in_second == 0 {
            return Err(Refusal::Rate { retry_after_seconds: 1 });
        }
        count.in_second = count.in_second.saturating_add(1);
        count.in_day = count.in_day.saturating_add(1);
        Ok(RatesLeft { in_second: left.in_second.saturating_sub(1), in_day: left.in_day.saturating_sub(1) })
    }

    /// Counts one seed request of `caller` at `now`.
    ///
    /// # Errors
    /// [`Refusal::SeedRate`]; nothing is counted.
    pub fn take_seed(&mut self, caller: Caller<'_>, now: SteadySeconds) -> Result<(), Refusal> {
        let per_minute = caller.seeds_per_minute();
        take(&mut self.seeds, caller, per_minute, now)
            .map_err(|retry_after_seconds| Refusal::SeedRate { retry_after_seconds })
    }

    /// Counts one request of `caller` for public keys at `now`.
    ///
    /// # Errors
    /// [`Refusal::KeysRate`]; nothing is counted.
    pub fn take_keys(&mut self, caller: Caller<'_>, now: SteadySeconds) -> Result<(), Refusal> {
        let per_minute = caller.keys_per_minute();
        take(&mut self.lists, caller, per_minute, now)
            .map_err(|retry_after_seconds| Refusal::KeysRate { retry_after_seconds })
    }
}

/// Takes from a bucket that allows one minute's requests at once, because a broker's instances start together.
fn take(
    buckets: &mut BTreeMap<String, Bucket>,
    caller: Caller<'_>,
    per_minute: u64,
    now: SteadySeconds,
) -> Result<(), u64> {
    let bucket = buckets.entry(caller.name().to_owned()).or_insert_with(|| Bucket::full(per_minute, per_minute, now));
    bucket.take(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::{credential, other_credential, rules, rules_of_callers};
    use crate::steady::{Reading, SteadyClock};
    use std::time::Duration;

    const DAY: u64 = 20_000;
    const NOON: u64 = DAY * SECONDS_PER_DAY + 43_200;

    #[track_caller]
    fn check(rates: &mut Rates, now: u64, expected: Result<(), u64>) {
        let rules = rules("requests_per_second = 2\nrequests_per_day = 3");
        let found = rates.count(rules.keys().next().unwrap(), SteadySeconds(now));
        let found = found.map(drop);
        let expected = expected.map_err(|retry_after_seconds| Refusal::Rate { retry_after_seconds });
        assert_eq!(found, expected, "at {now}");
    }

    #[test]
    fn counts_seconds_and_days_but_not_refusals() {
        let mut rates = Rates::default();
        check(&mut rates, NOON, Ok(()));
        check(&mut rates, NOON, Ok(()));
        check(&mut rates, NOON, Err(1));
        check(&mut rates, NOON + 1, Ok(()));
        check(&mut rates, NOON + 2, Err(43_198));
        check(&mut rates, (DAY + 1) * SECONDS_PER_DAY - 1, Err(1));
        check(&mut rates, (DAY + 1) * SECONDS_PER_DAY, Ok(()));
    }

    #[test]
    fn each_credential_has_its_own_seeds_and_lists() {
        let rules = rules_of_callers("seeds_per_minute = 2\nkeys_per_minute = 3");
        let (sent, other) = (credential(), other_credential());
        let (caller, other) = (rules.caller(&sent, None), rules.caller(&other, None));
        let (caller, other) = (caller.unwrap(), other.unwrap());
        let (mut rates, now) = (Rates::default(), SteadySeconds(NOON));
        let refused = |retry_after_seconds| Err(Refusal::SeedRate { retry_after_seconds });
        assert_eq!(rates.take_seed(caller, now), Ok(()));
        assert_eq!(rates.take_seed(caller, now), Ok(()));
        assert_eq!(rates.take_seed(caller, now), refused(30));
        for _ in 0..3 {
            assert_eq!(rates.take_keys(caller, now), Ok(()));
        }
        let retry_after_seconds = 20;
        assert_eq!(rates.take_keys(caller, now), Err(Refusal::KeysRate { retry_after_seconds }));
        assert_eq!(rates.take_seed(other, now), Ok(()));
        assert_eq!(rates.take_keys(other, now), Ok(()));
        assert_eq!(rates.take_seed(caller, SteadySeconds(NOON + 29)), refused(1));
        assert_eq!(rates.take_seed(caller, SteadySeconds(NOON + 30)), Ok(()));
    }

    /// The wall clock jumps ahead and comes back; counting continues as before.
    #[test]
    fn clock_steps_do_not_change_rates() {
        for ahead in [3600, 2 * SECONDS_PER_DAY, 365 * SECONDS_PER_DAY] {
            let at = |running, ahead| Reading {
                wall: Duration::from_secs(NOON + running + ahead),
                running: Duration::from_secs(SECONDS_PER_DAY + running),
            };
            let mut clock = SteadyClock::new(at(0, 0));
            let mut rates = Rates::default();
            let mut check = |running, ahead, expected| {
                let SteadySeconds(now) = clock.look(at(running, ahead)).steady;
                check(&mut rates, now, expected);
            };
            check(0, 0, Ok(()));
            check(1, ahead, Ok(()));
            check(2, 0, Ok(()));
            check(3, 0, Err(43_197));
            check(4, ahead, Err(43_196));
            check(SECONDS_PER_DAY, 0, Ok(()));
            check(SECONDS_PER_DAY, 0, Ok(()));
            check(SECONDS_PER_DAY + 1, 0, Ok(()));
        }
    }
}
