//! Checks of answers.

use crate::client::http::origin;

/// A URL of a broker or an issuer.
pub fn check_url(text: &str) -> Result<(), String> {
    let scheme = origin(text).map(|(scheme, _)| scheme);
    match scheme.as_deref() {
        Some("https") if !text.contains(['?', '#']) && text.chars().all(|c| c.is_ascii_graphic()) => Ok(()),
        _ => Err(format!("`{text}` is not an https URL without query, fragment and user name")),
    }
}

/// The signer's list of audiences is separated by spaces.
pub fn check_audience(text: &str) -> Result<(), String> {
    match !text.is_empty() && text != "*" && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(format!("`{text}` is not an audience: use a URL such as https://deploy.example")),
    }
}
