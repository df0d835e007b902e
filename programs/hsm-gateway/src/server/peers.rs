//! Places of one peer: whoever has no credential must not keep all others out.

use crate::network::Network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Most connections of one peer at once.
pub const PER_PEER_MAX: usize = 256;

/// How many connections each peer has.
#[derive(Default)]
pub struct Peers(Mutex<HashMap<Network, usize>>);

impl Peers {
    /// A place for one more connection of `address`, if it has one.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let network = Network::of(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= PER_PEER_MAX {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place {
            peers: Arc::clone(self),
            network,
        })
    }
}

/// Given back when it is dropped.
pub struct Place {
    peers: Arc<Peers>,
    network: Network,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_64_share_its_places() {
        let peers = Arc::new(Peers::default());
        let address = |text: &str| text.parse().expect("an address");
        let mut places = Vec::new();
        for host in 0..PER_PEER_MAX {
            let place = peers.enter(address(&format!("2001:db8:1:2::{host:x}")));
            assert!(place.is_some(), "{host}");
            places.push(place);
        }
        assert!(peers.enter(address("2001:db8:1:2:ffff::1")).is_none());
        assert!(peers.enter(address("2001:db8:1:3::1")).is_some());
        places.pop();
        assert!(peers.enter(address("2001:db8:1:2:ffff::1")).is_some());
    }

    #[test]
    fn one_address_has_so_many_places_and_another_its_own() {
        let peers = Arc::new(Peers::default());
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mapped = "::ffff:127.0.0.1".parse().expect("an address");
        let mut places: Vec<_> = (0..PER_PEER_MAX).map(|_| peers.enter(one)).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(peers.enter(one).is_none() && peers.enter(mapped).is_none());
        assert!(peers.enter(other).is_some());
        places.pop();
        assert!(peers.enter(mapped).is_some());
        drop(places);
        let counts = peers.0.lock().expect("unpoisoned");
        assert!(counts.is_empty(), "{counts:?}");
    }
}
