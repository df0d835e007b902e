//! What a proof is for, and how it is marked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// The request that a proof is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Without query and fragment.
    pub url: &'a str,
    /// The token that the request presents to a resource server (`ath`).
    pub access_token: Option<&'a str>,
}

/// `typ` of a proof (RFC 9449 §4.2).
pub(crate) const TYP: &str = "dpop+jwt";

/// `ath` (RFC 9449 §4.2).
pub(crate) fn hash(access_token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(access_token))
}
