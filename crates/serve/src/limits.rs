//! The limits that each server sets for its listeners.

use std::time::Duration;

/// Maximum number of concurrent connections of one listener; further ones wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 1024;

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of concurrent connections.
    pub connections_max: usize,
    /// Maximum size of a request head.
    pub header_bytes_max: usize,
    /// Longest time that requests in flight get to finish when the server stops.
    pub drain_max: Duration,
}
