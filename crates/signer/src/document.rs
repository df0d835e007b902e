//! Signed JWTs that are no tokens: what is revoked, status lists, and responses to introspection.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ceilings::ISSUED_AT_SKEW_SECONDS_MAX;
use crate::claims;
use crate::config::Config;
use crate::epoch::Epoch;
use crate::error::{Ceiling, Error};
use crate::key::EpochKey;
use crate::{Algorithm, Entropy};
use vouchsafe_types::UnixSeconds;

/// The claims of a document that the configuration allows, ready to be signed.
///
/// INVARIANT: only [`Config::allow_revocations`], [`Config::allow_status_list`] and [`Config::allow_introspection`] make
/// one.
pub struct AllowedDocument {
    typ: &'static str,
    payload: String,
    epoch: Epoch,
}

impl Config {
    /// Allows a document with this header `typ`, claims and `iat`.
    ///
    /// # Errors
    /// [`Error::Refused`] if `issued_at` is too far from `now`.
    pub(crate) fn allow_document(
        &self,
        typ: &'static str,
        payload: String,
        issued_at: u64,
        now: UnixSeconds,
    ) -> Result<AllowedDocument, Error> {
        if issued_at.abs_diff(now.0) > ISSUED_AT_SKEW_SECONDS_MAX {
            return Err(Error::Refused(Ceiling::IssuedAt));
        }
        // The key of a later `iat` is published already.
        let epoch = Epoch::containing(now.max(UnixSeconds(issued_at)), self.epoch_seconds())?;
        Ok(AllowedDocument { typ, payload, epoch })
    }

    /// The algorithm of documents: the first one that is configured.
    ///
    /// # Errors
    /// [`Error::Internal`], which no configuration causes.
    pub fn document_algorithm(&self) -> Result<Algorithm, Error> {
        self.algorithms.first().copied().ok_or(Error::Internal)
    }
}

impl AllowedDocument {
    /// The epoch whose key must sign.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The compact JWS (RFC 7515 §3.1), signed with `key`, which must be a key of [`Self::epoch`].
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn sign(&self, key: &EpochKey, entropy: &Entropy) -> Result<String, Error> {
        let header = claims::header(key.algorithm().name(), key.kid(), self.typ);
        let mut jwt = URL_SAFE_NO_PAD.encode(header);
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(&self.payload, &mut jwt);
        let signature = key.sign(jwt.as_bytes(), entropy)?;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(jwt)
    }
}
