//! A limit on connections per peer, so that clients without a credential can't keep all others out.

use crate::network::Network;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum number of concurrent connections of one peer.
pub const PER_PEER_MAX: usize = 256;

/// Counts the connections of each peer.
#[derive(Default)]
pub struct Peers(Mutex<HashMap<Network, usize>>);

impl Peers {
    /// Counts a connection from `address`, unless its peer has too many. The connection ends when the result is
    /// dropped.
    pub fn add(self: &Arc<Self>, address: IpAddr) -> Option<PeerConnection> {
        let network = Network::of(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= PER_PEER_MAX {
            return None;
        }
        *count = count.saturating_add(1);
        Some(PeerConnection { peers: Arc::clone(self), network })
    }
}

/// A counted connection, until this is dropped.
pub struct PeerConnection {
    peers: Arc<Peers>,
    network: Network,
}

impl Drop for PeerConnection {
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
    fn addresses_of_one_64_share_a_limit() {
        let peers = Arc::new(Peers::default());
        let address = |text: &str| text.parse().expect("an address");
        let mut connections = Vec::new();
        for host in 0..PER_PEER_MAX {
            let connection = peers.add(address(&format!("2001:db8:1:2::{host:x}")));
            assert!(connection.is_some(), "{host}");
            connections.push(connection);
        }
        assert!(peers.add(address("2001:db8:1:2:ffff::1")).is_none());
        assert!(peers.add(address("2001:db8:1:3::1")).is_some());
        connections.pop();
        assert!(peers.add(address("2001:db8:1:2:ffff::1")).is_some());
    }

    #[test]
    fn each_address_has_its_own_limit() {
        let peers = Arc::new(Peers::default());
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mapped = "::ffff:127.0.0.1".parse().expect("an address");
        let mut connections: Vec<_> = (0..PER_PEER_MAX).map(|_| peers.add(one)).collect();
        assert!(connections.iter().all(Option::is_some));
        assert!(peers.add(one).is_none() && peers.add(mapped).is_none());
        assert!(peers.add(other).is_some());
        connections.pop();
        assert!(peers.add(mapped).is_some());
        drop(connections);
        let counts = peers.0.lock().expect("unpoisoned");
        assert!(counts.is_empty(), "{counts:?}");
    }
}
