//! Places of one peer: whoever has no credential must not keep all others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Most connections of one address at once.
pub const PER_PEER_MAX: usize = 256;

/// How many connections each address has.
#[derive(Default)]
pub struct Peers(Mutex<HashMap<IpAddr, usize>>);

impl Peers {
    /// A place for one more connection of `address`, if it has one.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        // A v4 peer of a socket for both is the same peer.
        let address = address.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= PER_PEER_MAX {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Place {
            peers: Arc::clone(self),
            address,
        })
    }
}

/// Given back when it is dropped.
pub struct Place {
    peers: Arc<Peers>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
