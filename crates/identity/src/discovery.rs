//! The discovery document (OpenID Connect Discovery 1.0 §4.2 and §4.3).

use vouchsafe_jose::{Json, JsonObject};

use crate::error::{DocumentError, FetchError};
use crate::issuer::TrustedIssuer;
use crate::url::KeyUrl;

/// Longest accepted discovery document, in bytes.
pub const DISCOVERY_BYTES_MAX: usize = 64 * 1024;

/// Longest part of a refused `jwks_uri` that an error has, in characters.
const SHOWN_CHARS_MAX: usize = 300;

/// The document's `jwks_uri`, if its `issuer` equals the expected one byte for byte: another issuer's document would
/// lead to that issuer's keys. Never leads to a server in `closed`.
pub(crate) fn jwks_url(document: &[u8], issuer: &TrustedIssuer, closed: &[String]) -> Result<KeyUrl, FetchError> {
    if document.len() > DISCOVERY_BYTES_MAX {
        return Err(FetchError::TooLarge);
    }
    let invalid = |error| FetchError::DocumentInvalid(DocumentError::Discovery(error));
    let document = JsonObject::parse(document).map_err(invalid)?;
    if required_text(&document, "issuer")? != issuer.issuer() {
        return Err(FetchError::IssuerMismatch);
    }
    let url = required_text(&document, "jwks_uri")?;
    let keys = KeyUrl::of_keys(url, issuer.development()).and_then(|keys| keys.outside(closed));
    keys.map_err(|reason| FetchError::JwksUriRefused { url: shown(url), reason })
}

/// Without a query, which may hold a secret, and without what a terminal would interpret.
fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let url = url.rsplit_once('@').map_or(url.to_owned(), |(_, rest)| format!("…@{rest}"));
    url.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(SHOWN_CHARS_MAX).collect()
}

fn required_text<'d>(document: &'d JsonObject, name: &'static str) -> Result<&'d str, FetchError> {
    let missing = FetchError::DocumentInvalid(DocumentError::DiscoveryMember(name));
    document.get(name).and_then(Json::as_text).ok_or(missing)
}
