//! The signed response to an introspection (RFC 9701): a JWT of its own type, which is no access token.

use serde_json::{Value, json};

use crate::ceilings::SUBJECT_BYTES_MAX;
use crate::config::Config;
use crate::document::AllowedDocument;
use crate::error::{Ceiling, Error};
use vouchsafe_types::UnixSeconds;

/// The header's `typ` (RFC 9701 §5). No token has it.
pub const INTROSPECTION_TYP: &str = "token-introspection+jwt";
/// Most bytes of the response that is signed.
pub const INTROSPECTION_BYTES_MAX: usize = 16 * 1024;

impl Config {
    /// Builds the claims, with this `iat`, for the resource server `audience`.
    ///
    /// INVARIANT: the response is a member and not the claims themselves, and there are neither `sub` nor `exp`
    /// (RFC 9701 §5), so nothing that takes access tokens takes it.
    ///
    /// # Errors
    /// [`Error::Refused`] with the ceiling that the request exceeds.
    pub fn allow_introspection(
        &self,
        audience: &str,
        response: &str,
        issued_at: u64,
        now: UnixSeconds,
    ) -> Result<AllowedDocument, Error> {
        if audience.is_empty() || audience.len() > SUBJECT_BYTES_MAX {
            return Err(Error::Refused(Ceiling::AudienceText));
        }
        // ORDER: the size limit comes before any parsing.
        let response = Some(response).filter(|text| text.len() <= INTROSPECTION_BYTES_MAX);
        let response: Option<Value> = response.and_then(|text| serde_json::from_str(text).ok());
        let response = response.filter(|response| response.get("active").is_some_and(Value::is_boolean));
        let response = response.ok_or(Error::Refused(Ceiling::Introspection))?;
        let claims =
            json!({ "iss": self.issuer(), "aud": audience, "iat": issued_at, "token_introspection": response });
        self.allow_document(INTROSPECTION_TYP, claims.to_string(), issued_at, now)
    }
}
