//! The results of comparing bundles.

/// Whether someone gets more or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Widening,
    /// More for some or less for others; it is not known which.
    Either,
    Narrowing,
}

/// The subject of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A test case of either bundle, by path.
    Case,
    /// A recorded decision, by id.
    Recorded,
    /// A principal type and an audience.
    Pair,
    Policy,
    Audience,
    /// The workloads or audiences of a group that a policy names.
    Group,
    Issuer,
    /// A time zone, by the name that policies use.
    Zone,
}

/// A change and its direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub direction: Direction,
    pub subject: Subject,
    pub name: String,
    pub old: String,
    pub new: String,
}

/// An issuer that keeps its name while its URL or the source of its keys changes. Policies name issuers, so whoever signs
/// for the new URL or with the new keys gets what the workloads of the old ones got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    pub of: TakeoverOf,
    pub issuer: String,
    pub old: String,
    pub new: String,
}

/// What of an issuer changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeoverOf {
    KeySource,
    Url,
}
