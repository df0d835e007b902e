//! What is counted where a line each would let a caller fill the disk: repeated hand-outs of a seed, refusals beyond
//! a rate, and attempts without a valid credential. Counts become lines once a minute, when the log is rotated,
//! and at the end.

use super::Gateway;
use super::seeds::Handout;
use crate::details::Details;
use crate::log::{Line, Share};
use crate::network::Network;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use vouchsafe_gateway::{Bucket, Refusal, SteadySeconds};

/// How often counts are written.
pub(super) const COUNTS_PAUSE: Duration = Duration::from_secs(60);
/// Refusals of one credential that are a line each: at once, and per minute in the long run. A line has at most
/// about 4 KiB, and usually 250 bytes: that is 120 MB a day at most, and usually 7.
const REFUSALS_BURST: u64 = 60;
const REFUSALS_PER_MINUTE: u64 = 20;
/// Networks and reasons that have a line each per minute, of peers without a valid credential: at most 40 MB a day.
const STRANGERS_MAX: usize = 64;

/// Who was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    Admin(&'a str),
    Caller(&'a str),
    /// Without a credential that is good here.
    Stranger(IpAddr),
}

/// What has no line of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repeat {
    Refusal {
        of_admin: bool,
        name: String,
        slug: &'static str,
    },
    Seed(Handout),
    Stranger {
        network: Network,
        slug: &'static str,
    },
    /// Of more networks than are told apart.
    Strangers,
}

impl Repeat {
    fn line(&self, count: u64, now: u64) -> Line {
        let line = match self {
            Self::Refusal { name, slug, .. } => Line::new("refusal-repeats", now)
                .with("caller", name.as_str())
                .with("slug", *slug),
            Self::Seed(handout) => handout.line("seed-repeats", now),
            Self::Stranger { network, slug } => Line::new("unauthenticated-repeats", now)
                .with("peer", network.to_string())
                .with("slug", *slug),
            Self::Strangers => Line::new("unauthenticated-repeats", now).with("peer", "others"),
        };
        line.with("count", count)
    }
}

#[derive(Default)]
pub struct Counted {
    counts: BTreeMap<Repeat, u64>,
    refusals: BTreeMap<(bool, String), Bucket>,
    /// Those that have had their line in this minute.
    strangers: BTreeSet<(Network, &'static str)>,
}

impl Counted {
    pub(super) fn add(&mut self, repeat: Repeat) {
        let count = self.counts.entry(repeat).or_default();
        *count = count.saturating_add(1);
    }

    /// Whether a refusal is a line; else it is counted.
    fn is_line(&mut self, who: Who<'_>, slug: &'static str, now: SteadySeconds) -> bool {
        let (of_admin, name) = match who {
            Who::Admin(name) => (true, name.to_owned()),
            Who::Caller(name) => (false, name.to_owned()),
            Who::Stranger(address) => return self.is_line_of_stranger(address, slug),
        };
        let bucket = self
            .refusals
            .entry((of_admin, name.clone()))
            .or_insert_with(|| Bucket::full(REFUSALS_BURST, REFUSALS_PER_MINUTE, now));
        let is_line = bucket.take(now).is_ok();
        if !is_line {
            self.add(Repeat::Refusal {
                of_admin,
                name,
                slug,
            });
        }
        is_line
    }

    fn is_line_of_stranger(&mut self, address: IpAddr, slug: &'static str) -> bool {
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

    /// All counts; what comes next is counted anew, and strangers have a line each again.
    fn take(&mut self) -> BTreeMap<Repeat, u64> {
        self.strangers.clear();
        std::mem::take(&mut self.counts)
    }

    /// Takes counts back that could not be written. Strangers are told apart for a minute only, so that there
    /// is a bound to them while the log fails.
    fn put_back(&mut self, counts: impl Iterator<Item = (Repeat, u64)>) {
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

impl Gateway {
    /// Counts a refusal, and writes it down where that is bounded.
    pub async fn refused(&self, who: Who<'_>, what: &str, refusal: Refusal, about: Details) {
        let slug = refusal.slug();
        self.metrics.refused(slug);
        let moment = self.clock.look();
        if !self.counted().is_line(who, slug, moment.steady) {
            return;
        }
        let now = moment.now.0;
        let line = match who {
            Who::Admin(name) | Who::Caller(name) => Line::new("refusal", now).with("caller", name),
            Who::Stranger(address) => {
                Line::new("unauthenticated", now).with("peer", address.to_canonical().to_string())
            }
        };
        let line = line.with("what", what).with("slug", slug);
        let tell = |line: Line, (name, value)| line.with(name, value);
        let line = about.into_iter().fold(line, tell);
        if let Err(error) = self.log.write(Share::Counted, line).await {
            eprintln!("hsm-gateway: the log can't be written: {error}");
        }
    }

    /// Writes down what was counted since it was done last. What can't be written is counted on.
    pub async fn write_counts(&self) {
        let now = self.clock.now().0;
        self.handouts().forget(now);
        let counts = self.counted().take();
        let mut counts = counts.into_iter();
        while let Some((repeat, count)) = counts.next() {
            let line = repeat.line(count, now);
            if self.record(Share::Counted, line).await.is_err() {
                let rest = std::iter::once((repeat, count)).chain(counts);
                self.counted().put_back(rest);
                return;
            }
        }
    }

    pub(super) fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_gateway::{Reading, SteadyClock};

    const SLUG: &str = "seed.window";

    /// A moment of the steady clock, so many seconds after the first.
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
        let mut counted = Counted::default();
        for number in 0..REFUSALS_BURST {
            let is_line = counted.is_line(Who::Caller("thief"), SLUG, at(0));
            assert!(is_line, "{number}");
        }
        for _ in 0..1000 {
            assert!(!counted.is_line(Who::Caller("thief"), SLUG, at(0)));
        }
        assert!(counted.is_line(Who::Caller("broker"), SLUG, at(0)));
        assert!(counted.is_line(Who::Admin("thief"), SLUG, at(0)));
        // One every three seconds in the long run.
        assert!(!counted.is_line(Who::Caller("thief"), SLUG, at(2)));
        assert!(counted.is_line(Who::Caller("thief"), SLUG, at(3)));
        assert!(!counted.is_line(Who::Caller("thief"), SLUG, at(3)));
        let repeat = Repeat::Refusal {
            of_admin: false,
            name: "thief".to_owned(),
            slug: SLUG,
        };
        assert_eq!(counted.take(), BTreeMap::from([(repeat, 1002)]));
    }

    #[test]
    fn strangers_have_a_line_per_network_and_minute() {
        let mut counted = Counted::default();
        let stranger = |counted: &mut Counted, address: &str| {
            let address = address.parse().expect("an address");
            counted.is_line(Who::Stranger(address), SLUG, at(0))
        };
        assert!(stranger(&mut counted, "2001:db8::1"));
        assert!(!stranger(&mut counted, "2001:db8::2"));
        for host in 1..STRANGERS_MAX {
            assert!(stranger(&mut counted, &format!("192.0.2.{host}")), "{host}");
        }
        for host in 0..100 {
            assert!(!stranger(&mut counted, &format!("198.51.100.{host}")));
        }
        let network = Network::of("2001:db8::1".parse().expect("an address"));
        let one = Repeat::Stranger {
            network,
            slug: SLUG,
        };
        let expected = BTreeMap::from([(one, 1), (Repeat::Strangers, 100)]);
        let counts = counted.take();
        assert_eq!(counts, expected);
        assert!(stranger(&mut counted, "198.51.100.1"), "the next minute");
        // While the log fails, nothing grows.
        counted.put_back(counts.into_iter());
        let expected = BTreeMap::from([(Repeat::Strangers, 101)]);
        assert_eq!(counted.take(), expected);
    }
}
