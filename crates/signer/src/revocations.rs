//! The document that tells verifiers what is revoked: a JWT of its own type (`docs/revocation.md`).
//!
//! It names nobody: texts are hashed, since anyone can read it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::ceilings::{ISSUED_AT_SKEW_SECONDS_MAX, JTI_BYTES_MAX};
use crate::config::Config;
use crate::document;
use crate::epoch::Epoch;
use crate::error::{Ceiling, Error};
use crate::key::EpochKey;
use crate::{Algorithm, Entropy};
use vouchsafe_types::{RevocationList, RevocationRule, UnixSeconds};

/// The header's `typ`. No token has it, and no verifier of tokens accepts it.
pub const REVOCATIONS_TYP: &str = "vouchsafe-revocations+jwt";
/// How long a verifier may use the document, in seconds.
pub const REVOCATIONS_LIFETIME_SECONDS: u64 = 15;
/// Most bytes of the claims, so that the document has less than 1 MiB, which is what verifiers read.
pub const REVOCATIONS_BYTES_MAX: usize = 768_000;

/// The claims of a document that the configuration allows, ready to be signed.
///
/// INVARIANT: only [`Config::allow_revocations`] makes one.
pub struct AllowedRevocations {
    payload: String,
    epoch: Epoch,
}

impl Config {
    /// Builds the claims, with this `iat`.
    ///
    /// # Errors
    /// [`Error::Refused`] with the ceiling that the list exceeds.
    pub fn allow_revocations(
        &self,
        list: &RevocationList,
        issued_at: u64,
        now: UnixSeconds,
    ) -> Result<AllowedRevocations, Error> {
        if issued_at.abs_diff(now.0) > ISSUED_AT_SKEW_SECONDS_MAX {
            return Err(Error::Refused(Ceiling::IssuedAt));
        }
        if list.tokens.iter().any(|jti| jti.is_empty() || jti.len() > JTI_BYTES_MAX) {
            return Err(Error::Refused(Ceiling::Jti));
        }
        let claims = json!({
            "iss": self.issuer(),
            "iat": issued_at,
            "exp": issued_at.saturating_add(REVOCATIONS_LIFETIME_SECONDS),
            "began_at": list.began_at,
            "seq": list.sequence,
            "rules": list.rules.iter().map(rule).collect::<Vec<_>>(),
            "tokens": list.tokens,
        });
        let payload = claims.to_string();
        // INVARIANT: nothing is left out. Without a document, verifiers that follow it accept nothing.
        if payload.len() > REVOCATIONS_BYTES_MAX {
            return Err(Error::Refused(Ceiling::RevocationsTooLong));
        }
        // The key of a later `iat` is published already.
        let epoch = Epoch::containing(now.max(UnixSeconds(issued_at)), self.epoch_seconds())?;
        Ok(AllowedRevocations { payload, epoch })
    }

    /// The algorithm of the document: the first one that is configured.
    ///
    /// # Errors
    /// [`Error::Internal`], which no configuration causes.
    pub fn revocations_algorithm(&self) -> Result<Algorithm, Error> {
        self.algorithms.first().copied().ok_or(Error::Internal)
    }
}

impl AllowedRevocations {
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
        document::sign(REVOCATIONS_TYP, &self.payload, key, entropy)
    }
}

fn rule(rule: &RevocationRule) -> Value {
    let RevocationRule { issuer_name, subject, audience, kid, since, until } = rule;
    let texts = [("issuer", issuer_name), ("subject", subject), ("audience", audience), ("kid", kid)];
    let times = [("since", since), ("until", until)];
    let mut members = Map::new();
    members.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), hashed(text.as_ref()?).into()))));
    members.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), (*time)?.into()))));
    Value::Object(members)
}

fn hashed(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}
