//! The state of one version, and its encoding in a `CKA_ID`.

use crate::timing::{PUBLISHED_SECONDS_MIN, WITHDRAWN_SECONDS_MIN};

/// The state of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VersionState {
    /// Published, but does not sign yet.
    Pending,
    /// Signs for a share of the workloads.
    Canary,
    /// Signs for all other workloads.
    Active,
    /// No longer signs, but still published because its tokens may be valid.
    Retiring,
    /// Never signs and is never published again.
    Retired,
}

impl VersionState {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Canary, Self::Active, Self::Retiring, Self::Retired];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Whether a version in this state is in the JWK Set.
    #[must_use]
    pub fn is_published(self) -> bool {
        self != Self::Retired
    }

    fn byte(self) -> u8 {
        match self {
            Self::Pending => b'p',
            Self::Canary => b'c',
            Self::Active => b'a',
            Self::Retiring => b'l',
            Self::Retired => b'r',
        }
    }
}

/// First bytes of a record; the digit is the layout's.
const MAGIC: [u8; 3] = *b"vs1";
/// Length of a record: magic, state, share, lifetime (u32), since (u64), published (u64), big-endian.
pub const RECORD_BYTES: usize = 25;

/// The record of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRecord {
    pub state: VersionState,
    /// Percentage of workloads that a canary signs for; 0 in every other state.
    pub share: u8,
    /// Longest lifetime of a token that it may have signed, in seconds; 0 if it never signed.
    pub lifetime_seconds: u64,
    /// When it entered this state, in Unix seconds.
    pub since: u64,
    /// When it was first published, in Unix seconds.
    pub published: u64,
}

impl VersionRecord {
    /// The record of a new version.
    #[must_use]
    pub fn pending(now: u64) -> Self {
        Self { state: VersionState::Pending, share: 0, lifetime_seconds: 0, since: now, published: now }
    }

    /// The record of a key's first version, which every verifier knows.
    #[must_use]
    pub fn first(now: u64, lifetime_seconds_max: u64) -> Self {
        Self { state: VersionState::Active, lifetime_seconds: lifetime_seconds_max, ..Self::pending(now) }
    }

    /// When it will have been published long enough to sign.
    #[must_use]
    pub fn may_sign_at(&self) -> u64 {
        self.published.saturating_add(PUBLISHED_SECONDS_MIN)
    }

    /// When a retiring version may leave the JWK Set, because all its tokens have expired.
    #[must_use]
    pub fn may_leave_at(&self) -> u64 {
        self.since.saturating_add(self.lifetime_seconds).saturating_add(WITHDRAWN_SECONDS_MIN)
    }

    #[must_use]
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let lifetime = u32::try_from(self.lifetime_seconds).unwrap_or(u32::MAX);
        let mut bytes = [0; RECORD_BYTES];
        let parts = MAGIC
            .into_iter()
            .chain([self.state.byte(), self.share])
            .chain(lifetime.to_be_bytes())
            .chain(self.since.to_be_bytes())
            .chain(self.published.to_be_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }

    /// Reads exactly what [`VersionRecord::to_bytes`] writes.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (&[state, share], rest) = rest.split_first_chunk()?;
        let (lifetime, rest) = rest.split_first_chunk()?;
        let (since, rest) = rest.split_first_chunk()?;
        let published: [u8; 8] = rest.try_into().ok()?;
        let state = VersionState::ALL.into_iter().find(|it| it.byte() == state)?;
        let shares = match state {
            VersionState::Canary => 1..=100,
            _ => 0..=0,
        };
        shares.contains(&share).then_some(Self {
            state,
            share,
            lifetime_seconds: u32::from_be_bytes(*lifetime).into(),
            since: u64::from_be_bytes(*since),
            published: u64::from_be_bytes(published),
        })
    }
}
