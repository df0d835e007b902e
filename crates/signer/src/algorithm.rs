//! The algorithms of epoch keys.

/// A JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1) that software keys sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    Es256,
    EdDsa,
}

impl Algorithm {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 2] = [Self::Es256, Self::EdDsa];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}
