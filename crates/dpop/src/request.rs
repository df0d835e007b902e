//! What a proof is for, and how it is marked.

/// The request that a proof is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Without query and fragment.
    pub url: &'a str,
}

/// `typ` of a proof (RFC 9449 §4.2).
pub(crate) const TYP: &str = "dpop+jwt";
