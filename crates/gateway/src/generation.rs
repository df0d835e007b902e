//! The generation of epoch keys: its encoding in the root's `CKA_ID`, and when the next one may replace it.
//!
//! Does not read a clock; the time is a parameter.

use crate::refusal::Refusal;
use crate::timing::PUBLISHED_SECONDS_MIN;

/// The current generation of epoch keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Counts from 1.
    pub number: u64,
    /// When an emergency rotation made it the current one, in Unix seconds; `None` after `init`.
    pub since: Option<u64>,
}

impl Generation {
    /// A generation that no emergency rotation created.
    #[must_use]
    pub fn first(number: u64) -> Self {
        Self { number, since: None }
    }

    /// The following generation, current since `now` (Unix seconds).
    #[must_use]
    pub fn next(self, now: u64) -> Option<Self> {
        Some(Self { number: self.number.checked_add(1)?, since: Some(now) })
    }

    /// Checks that verifiers know the standby generation, so that it may become the current one. It has been published
    /// since this one became current, but verifiers, brokers and gateways may still use older key sets.
    ///
    /// # Errors
    /// [`Refusal::StandbyUnknown`] with the remaining seconds.
    pub fn may_be_left(self, now: u64) -> Result<(), Refusal> {
        let known_at = self.since.map(|it| it.saturating_add(PUBLISHED_SECONDS_MIN));
        match known_at.map_or(0, |it| it.saturating_sub(now)) {
            0 => Ok(()),
            seconds_left => Err(Refusal::StandbyUnknown { seconds_left }),
        }
    }

    /// Encodes the number (u64) and then the time (u64), if there is one, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        bytes.extend(self.since.into_iter().flat_map(u64::to_be_bytes));
        bytes
    }

    /// Reads exactly what [`Generation::to_bytes`] writes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let number = u64::from_be_bytes(*number);
        let since = match rest {
            [] => None,
            rest => Some(u64::from_be_bytes(rest.try_into().ok()?)),
        };
        (number > 0).then_some(Self { number, since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn leaves_generation_once_verifiers_know_the_next() {
        let rotated = Generation::first(1).next(NOW).unwrap();
        assert_eq!(rotated.number, 2);
        for (after, expected) in [
            (0, Some(PUBLISHED_SECONDS_MIN)),
            (1, Some(PUBLISHED_SECONDS_MIN - 1)),
            (PUBLISHED_SECONDS_MIN - 1, Some(1)),
            (PUBLISHED_SECONDS_MIN, None),
            (PUBLISHED_SECONDS_MIN + 1, None),
        ] {
            let refusal = expected.map(|seconds_left| Refusal::StandbyUnknown { seconds_left });
            assert_eq!(rotated.may_be_left(NOW + after).err(), refusal, "{after}");
        }
        // According to a slow gateway clock.
        let seconds_left = PUBLISHED_SECONDS_MIN + 30;
        let refusal = Refusal::StandbyUnknown { seconds_left };
        assert_eq!(rotated.may_be_left(NOW - 30), Err(refusal));
    }

    /// Every key set with its keys has the standby's too.
    #[test]
    fn first_generation_may_be_left_at_once() {
        assert_eq!(Generation::first(7).may_be_left(0), Ok(()));
    }

    #[test]
    fn last_generation_has_no_successor() {
        assert_eq!(Generation::first(u64::MAX).next(NOW), None);
    }

    #[test]
    fn reads_only_what_it_writes() {
        for generation in [Generation::first(1), Generation::first(u64::MAX), Generation::first(1).next(NOW).unwrap()] {
            let bytes = generation.to_bytes();
            assert_eq!(Generation::parse(&bytes), Some(generation));
            assert_eq!(Generation::parse(&bytes[1..]), None);
            assert_eq!(Generation::parse(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(Generation::first(258).to_bytes(), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Generation::parse(&[0; 8]), None, "they count from 1");
        assert_eq!(Generation::parse(&[]), None);
    }
}
