//! The discovery document (OpenID Connect Discovery 1.0 §4.2 and §4.3).

use vouchsafe_jose::{Json, JsonObject};

use crate::error::{DocumentError, FetchError};
use crate::issuer::TrustedIssuer;
use crate::url::KeyUrl;

/// Longest accepted discovery document, in bytes.
pub const DISCOVERY_BYTES_MAX: usize = 64 * 1024;

/// The document's `jwks_uri`, if its `issuer` equals the expected one byte for byte: another issuer's document would
/// lead to that issuer's keys.
pub(crate) fn jwks_url(document: &[u8], issuer: &TrustedIssuer) -> Result<KeyUrl, FetchError> {
    if document.len() > DISCOVERY_BYTES_MAX {
        return Err(FetchError::TooLarge);
    }
    let invalid = |error| FetchError::DocumentInvalid(DocumentError::Discovery(error));
    let document = JsonObject::parse(document).map_err(invalid)?;
    if required_text(&document, "issuer")? != issuer.issuer() {
        return Err(FetchError::IssuerMismatch);
    }
    KeyUrl::of_keys(required_text(&document, "jwks_uri")?, issuer.development()).map_err(FetchError::UrlRefused)
}

fn required_text<'d>(document: &'d JsonObject, name: &'static str) -> Result<&'d str, FetchError> {
    let missing = FetchError::DocumentInvalid(DocumentError::DiscoveryMember(name));
    document.get(name).and_then(Json::as_text).ok_or(missing)
}
