//! How often a key may be used: per second, and per day (UTC). The moment is passed in.
//!
//! Counts live in memory: they begin anew with the gateway.

use std::collections::BTreeMap;

use crate::refusal::Refusal;
use crate::rules::KeyRule;

const SECONDS_PER_DAY: u64 = 86_400;

/// Uses of one key.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    second: u64,
    in_second: u64,
    day: u64,
    in_day: u64,
}

/// Uses of all keys, by their names.
#[derive(Debug, Default)]
pub struct Rates(BTreeMap<String, Count>);

/// What a key may be used for yet, in the current second and day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatesLeft {
    pub in_second: u64,
    pub in_day: u64,
}

impl Rates {
    /// Counts one use of `key` at `now` (Unix seconds).
    ///
    /// # Errors
    /// [`Refusal::Rate`], which counts nothing.
    pub fn count(&mut self, key: &KeyRule, now: u64) -> Result<RatesLeft, Refusal> {
        let count = self.0.entry(key.name.clone()).or_default();
        let day = now.checked_div(SECONDS_PER_DAY).unwrap_or(0);
        // A clock that goes back must not open a new day or second.
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
            return Err(Refusal::Rate {
                retry_after_seconds: next_day.saturating_sub(now).max(1),
            });
        }
        if left.in_second == 0 {
            return Err(Refusal::Rate {
                retry_after_seconds: 1,
            });
        }
        count.in_second = count.in_second.saturating_add(1);
        count.in_day = count.in_day.saturating_add(1);
        Ok(RatesLeft {
            in_second: left.in_second.saturating_sub(1),
            in_day: left.in_day.saturating_sub(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::rules;

    const DAY: u64 = 20_000;
    const NOON: u64 = DAY * SECONDS_PER_DAY + 43_200;

    #[track_caller]
    fn check(rates: &mut Rates, now: u64, expected: Result<(), u64>) {
        let rules = rules("requests_per_second = 2\nrequests_per_day = 3");
        let found = rates.count(rules.keys().next().unwrap(), now).map(drop);
        let expected = expected.map_err(|retry_after_seconds| Refusal::Rate {
            retry_after_seconds,
        });
        assert_eq!(found, expected, "at {now}");
    }

    #[test]
    fn counts_seconds_and_days_and_refusals_not_at_all() {
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
    fn a_clock_that_goes_back_gives_nothing_back() {
        let mut rates = Rates::default();
        check(&mut rates, NOON, Ok(()));
        check(&mut rates, NOON, Ok(()));
        check(&mut rates, NOON - 1, Err(1));
        check(&mut rates, NOON - SECONDS_PER_DAY, Err(1));
    }
}
