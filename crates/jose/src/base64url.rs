//! Base64url without padding, in its canonical spelling (RFC 7515 §2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Decodes `text`. Rejects padding, white space, the standard alphabet and non-zero trailing bits, because a second
/// spelling of the same bytes would be a second token with the same signature.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
