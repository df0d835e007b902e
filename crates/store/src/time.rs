//! Points in time, and the times by which clocks and copies may be off.

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMilliseconds(pub u64);

impl UnixMilliseconds {
    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// Longest time out of use, in seconds, after which the store is still trusted. A copy that is restored within that time
/// is not detected.
pub const GAP_SECONDS: u64 = 15;
/// How long a row is kept after its `keep_until`, so that a process with a fast clock deletes nothing that another still
/// accepts.
pub(crate) const SWEEP_MARGIN_SECONDS: u64 = 300;
