//! Points in time.

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMilliseconds(pub u64);

impl UnixMilliseconds {
    pub(crate) fn seconds(self) -> u64 {
        self.0 / 1000
    }
}
