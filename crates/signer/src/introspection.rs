//! The signed response to an introspection (RFC 9701): a JWT of its own type, which is no access token.

use serde_json::{Value, json};

use crate::Entropy;
use crate::ceilings::{ISSUED_AT_SKEW_SECONDS_MAX, SUBJECT_BYTES_MAX};
use crate::config::Config;
use crate::document;
use crate::epoch::Epoch;
use crate::error::{Ceiling, Error};
use crate::key::EpochKey;
use vouchsafe_types::UnixSeconds;

/// The header's `typ` (RFC 9701 §5). No token has it.
pub const INTROSPECTION_TYP: &str = "token-introspection+jwt";
/// Most bytes of the response that is signed.
pub const INTROSPECTION_BYTES_MAX: usize = 16 * 1024;

/// The claims of a response that the configuration allows, ready to be signed.
///
/// INVARIANT: only [`Config::allow_introspection`] makes one.
pub struct AllowedIntrospection {
    payload: String,
    epoch: Epoch,
}

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
    ) -> Result<AllowedIntrospection, Error> {
        if issued_at.abs_diff(now.0) > ISSUED_AT_SKEW_SECONDS_MAX {
            return Err(Error::Refused(Ceiling::IssuedAt));
        }
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
        // The key of a later `iat` is published already.
        let epoch = Epoch::containing(now.max(UnixSeconds(issued_at)), self.epoch_seconds())?;
        Ok(AllowedIntrospection { payload: claims.to_string(), epoch })
    }
}

impl AllowedIntrospection {
    /// The epoch whose key must sign.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Signs with `key`, which must be a key of [`Self::epoch`].
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn sign(&self, key: &EpochKey, entropy: &Entropy) -> Result<String, Error> {
        document::sign(INTROSPECTION_TYP, &self.payload, key, entropy)
    }
}
