//! Indexes of status lists that an instance has leased and not used yet.
//!
//! A list's neighbours tell when a token was issued, so indexes are used in random order.

use vouchsafe_types::{StatusBlock, StatusReference};

/// How long leased indexes may be used, in seconds, inclusive. A store that begins anew, after a restore, has lists of other
/// names; meanwhile, tokens of this instance would name a list that nobody publishes.
pub const STATUS_LEASE_SECONDS_MAX: u64 = 60;

/// The free indexes of one instance.
#[derive(Debug, Default)]
pub struct StatusIndexes {
    free: Vec<StatusReference>,
    leased_at: u64,
}

impl StatusIndexes {
    #[must_use]
    pub const fn new() -> Self {
        Self { free: Vec::new(), leased_at: 0 }
    }

    /// Takes the free index that `random` selects; none if there is no recent one.
    pub fn take(&mut self, now: u64, random: u64) -> Option<StatusReference> {
        if now.abs_diff(self.leased_at) > STATUS_LEASE_SECONDS_MAX {
            self.free.clear();
        }
        let place = random.checked_rem(u64::try_from(self.free.len()).ok()?)?;
        Some(self.free.swap_remove(usize::try_from(place).ok()?))
    }

    /// Adds the indexes of `block`, which was leased at `now`. Those from before are given up.
    pub fn lease(&mut self, block: &StatusBlock, now: u64) {
        let indexes = block.first..block.first.saturating_add(block.count);
        self.free = indexes.map(|index| StatusReference { list: block.list.clone(), index }).collect();
        self.leased_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NOW: u64 = 1_800_000_000;

    fn leased() -> StatusIndexes {
        let mut indexes = StatusIndexes::new();
        indexes.lease(&StatusBlock { list: "1-2".to_owned(), first: 64, count: 64 }, NOW);
        indexes
    }

    #[test]
    fn returns_each_index_once_in_random_order() {
        let mut indexes = leased();
        let mut random = 7_u64;
        let taken: Vec<_> = std::iter::from_fn(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            indexes.take(NOW, random >> 33).inspect(|it| assert_eq!(it.list, "1-2")).map(|it| it.index)
        })
        .collect();
        assert_eq!(taken.iter().copied().collect::<BTreeSet<_>>(), (64..128).collect());
        assert_eq!(taken.len(), 64);
        assert_ne!(taken, (64..128).collect::<Vec<_>>());
        assert_eq!(indexes.take(NOW, 0), None);
    }

    #[test]
    fn gives_up_old_indexes() {
        assert!(leased().take(NOW + STATUS_LEASE_SECONDS_MAX, 0).is_some());
        assert!(leased().take(NOW + STATUS_LEASE_SECONDS_MAX + 1, 0).is_none());
        assert!(leased().take(NOW - STATUS_LEASE_SECONDS_MAX - 1, 0).is_none());
        assert_eq!(StatusIndexes::new().take(0, 0), None);
    }
}
