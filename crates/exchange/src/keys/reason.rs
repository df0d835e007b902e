//! The reason for a fetch of an issuer's keys.

/// Why keys are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The keys are no longer trusted, or soon will not be.
    Age,
    UnknownKid,
}

impl Reason {
    /// The name of the lease for a fetch.
    pub(super) fn lease(self, id: &str) -> String {
        match self {
            Self::Age => format!("fetch-aged/{id}"),
            Self::UnknownKid => format!("fetch-unknown-kid/{id}"),
        }
    }
}
