//! Counts of events that callers could otherwise fill the disk with: repeated handouts of a seed, refusals beyond a
//! rate, and attempts without a valid credential. Counts are logged once a minute, when the log is rotated, and at
//! shutdown.

use super::handouts::Handout;
use crate::log::Line;
use crate::network::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;
use vouchsafe_gateway::{Bucket, SteadySeconds};

/// How often counts are logged.
pub(super) const COUNTS_PAUSE: Duration = Duration::from_secs(60);
/// Refusals of one credential that are logged individually: in a burst, and per minute in the long run. A line has at
/// most about 4 KiB and usually 250 bytes, so that is at most 120 MB a day and usually 7.
const REFUSALS_BURST: u64 = 60;
const REFUSALS_PER_MINUTE: u64 = 20;
/// Pairs of network and reason that are logged per minute, for peers without a valid credential: at most 40 MB a day.
const STRANGERS_MAX: usize = 64;

/// Requester was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester<'a> {
    Admin(&'a str),
    Caller(&'a str),
    /// A peer without a valid credential.
    Stranger(IpAddr),
}

/// An event that is counted rather than logged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeat {
    Refusal {
        is_admin: bool,
        name: String,
        slug: &'static str,
    },
    Seed(Handout),
    Stranger {
        network: Network,
        slug: &'static str,
    },
    /// From further networks, which are not distinguished.
    Strangers,
}

impl Repeat {
    pub(super) fn line(&self, count: u64, now: u64) -> Line {
        let line = match self {
            Self::Refusal { name, slug, .. } => {
                Line::new("refusal-repeats", now).with("caller", name.as_str()).with("slug", *slug)
            }
            Self::Seed(handout) => handout.line("seed-repeats", now),
            Self::Stranger { network, slug } => {
                Line::new("unauthenticated-repeats", now).with("peer", network.to_string()).with("slug", *slug)
            }
            Self::Strangers => Line::new("unauthenticated-repeats", now).with("peer", "others"),
        };
        line.with("count", count)
    }
}

#[derive(Default)]
pub struct Counts {
    counts: BTreeMap<Repeat, u64>,
    refusals: BTreeMap<(bool, String), Bucket>,
    /// Logged in the current minute.
    strangers: BTreeSet<(Network, &'static str)>,
}

impl Counts {
    pub(super) fn add(&mut self, repeat: Repeat) {
        let count = self.counts.entry(repeat).or_default();
        *count = count.saturating_add(1);
    }

    /// Decides whether a refusal is logged; otherwise counts it.
    pub(super) fn log_or_count(&mut self, requester: Requester<'_>, slug: &'static str, now: SteadySeconds) -> bool {
        let (is_admin, name) = match requester {
            Requester::Admin(name) => (true, name.to_owned()),
            Requester::Caller(name) => (false, name.to_owned()),
            Requester::Stranger(address) => return self.log_or_count_stranger(address, slug),
        };
        let bucket = self
            .refusals
            .entry((is_admin, name.clone()))
            .or_insert_with(|| Bucket::full(REFUSALS_BURST, REFUSALS_PER_MINUTE, now));
        let is_line = bucket.take(now).is_ok();
        if !is_line {
            self.add(Repeat::Refusal { is_admin, name, slug });
        }
        is_line
    }

    fn log_or_count_stranger(&mut self, address: IpAddr, slug: &'static str) -> bool {
        let network = Network::of(address);
        if self.strangers.contains(&(network, slug)) {
            self.add(Repeat::Stranger { network, slug });
            return false;
        }
        if self.strangers.len() >= STRANGERS_MAX {
            self.add(Repeat::Strangers);
            return false;
        }
        self.strangers.insert((network, slug));
        true
    }

    /// Takes all counts and starts again.
    pub(super) fn take(&mut self) -> BTreeMap<Repeat, u64> {
        self.strangers.clear();
        std::mem::take(&mut self.counts)
    }

    /// Puts back counts that could not be logged. Networks of strangers are merged, so that memory stays bounded while
    /// the log fails.
    pub(super) fn put_back(&mut self, counts: impl Iterator<Item = (Repeat, u64)>) {
        for (repeat, more) in counts {
            let repeat = match repeat {
                Repeat::Stranger { .. } => Repeat::Strangers,
                other => other,
            };
            let count = self.counts.entry(repeat).or_default();
            *count = count.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_gateway::{Reading, SteadyClock};

    const SLUG: &str = "seed.window";

    /// The steady clock `seconds` after its start.
    fn at(seconds: u64) -> SteadySeconds {
        let reading = |seconds| Reading {
            wall: Duration::from_secs(1_800_000_000 + seconds),
            running: Duration::from_secs(86_400 + seconds),
        };
        let mut clock = SteadyClock::new(reading(0));
        clock.look(reading(seconds)).steady
    }

    #[test]
    fn refusals_of_one_credential_hide_no_others() {
        let mut counts = Counts::default();
        for number in 0..REFUSALS_BURST {
            let logged = counts.log_or_count(Requester::Caller("thief"), SLUG, at(0));
            assert!(logged, "{number}");
        }
        for _ in 0..1000 {
            assert!(!counts.log_or_count(Requester::Caller("thief"), SLUG, at(0)));
        }
        assert!(counts.log_or_count(Requester::Caller("broker"), SLUG, at(0)));
        assert!(counts.log_or_count(Requester::Admin("thief"), SLUG, at(0)));
        // One every three seconds in the long run.
        assert!(!counts.log_or_count(Requester::Caller("thief"), SLUG, at(2)));
        assert!(counts.log_or_count(Requester::Caller("thief"), SLUG, at(3)));
        assert!(!counts.log_or_count(Requester::Caller("thief"), SLUG, at(3)));
        let repeat = Repeat::Refusal { is_admin: false, name: "thief".to_owned(), slug: SLUG };
        assert_eq!(counts.take(), BTreeMap::from([(repeat, 1002)]));
    }

    #[test]
    fn logs_strangers_once_per_network_and_minute() {
        let mut counts = Counts::default();
        let stranger = |counts: &mut Counts, address: &str| {
            let address = address.parse().expect("an address");
            counts.log_or_count(Requester::Stranger(address), SLUG, at(0))
        };
        assert!(stranger(&mut counts, "2001:db8::1"));
        assert!(!stranger(&mut counts, "2001:db8::2"));
        for host in 1..STRANGERS_MAX {
            assert!(stranger(&mut counts, &format!("192.0.2.{host}")), "{host}");
        }
        for host in 0..100 {
            assert!(!stranger(&mut counts, &format!("198.51.100.{host}")));
        }
        let network = Network::of("2001:db8::1".parse().expect("an address"));
        let one = Repeat::Stranger { network, slug: SLUG };
        let expected = BTreeMap::from([(one, 1), (Repeat::Strangers, 100)]);
        let taken = counts.take();
        assert_eq!(taken, expected);
        assert!(stranger(&mut counts, "198.51.100.1"), "the next minute");
        // While the log fails, nothing grows.
        counts.put_back(taken.into_iter());
        let expected = BTreeMap::from([(Repeat::Strangers, 101)]);
        assert_eq!(counts.take(), expected);
    }
}
