//! Ports for servers whose address must be known before they start, or that restart.
//!
//! A port from `bind(0)` stays free for a moment only: the kernel gives it to the next connection or server that asks
//! for any port. These ports lie below the kernel's range (`ip_local_port_range`, 32768 and up), and each process
//! takes whole blocks of them by binding a name that the kernel frees when the process ends.
//! `tests/clients/broker.py` takes its ports from the same blocks.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Mutex, PoisonError};

const FIRST: u16 = 20_000;
const BLOCKS: u16 = 200;
const BLOCK_PORTS: u16 = 50;

/// The blocks of this process, and the next port.
struct Blocks {
    _held: Vec<UnixListener>,
    next: u16,
    end: u16,
}

/// A port of 127.0.0.1 that belongs to this process until it ends.
pub fn port() -> u16 {
    static BLOCKS: Mutex<Blocks> = Mutex::new(Blocks { _held: Vec::new(), next: 0, end: 0 });
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if blocks.next == blocks.end {
            blocks.take_another();
        }
        let port = blocks.next;
        blocks.next += 1;
        // An unrelated server may use it.
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Blocks {
    fn take_another(&mut self) {
        let (block, name) = (0..BLOCKS)
            .find_map(|block| Some((block, take(block)?)))
            .expect("a block of ports that no other process has");
        self._held.push(name);
        self.next = FIRST + block * BLOCK_PORTS;
        self.end = self.next + BLOCK_PORTS;
    }
}

/// Takes the block by its abstract name, unless another process has it.
fn take(block: u16) -> Option<UnixListener> {
    let name = format!("vouchsafe-test-ports-{block}");
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    UnixListener::bind_addr(&address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_port_once_below_ephemeral_range() {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let range = range.expect("Linux");
        let lowest: u16 = range.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number");
        let mut ports: Vec<_> = (0..2 * BLOCK_PORTS).map(|_| port()).collect();
        assert!(ports.iter().all(|port| (FIRST..lowest).contains(port)), "{ports:?}");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), usize::from(2 * BLOCK_PORTS));
    }

    #[test]
    fn refuses_block_that_another_process_holds() {
        // Beyond the blocks in use.
        let first = take(BLOCKS).expect("free");
        assert!(take(BLOCKS).is_none());
        drop(first);
        assert!(take(BLOCKS).is_some());
    }
}
