//! The document that tells verifiers what is revoked: a JWT of its own type (`docs/revocation.md`).
//!
//! It names nobody: texts are hashed, since anyone can read it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::ceilings::JTI_BYTES_MAX;
use crate::config::Config;
use crate::document::AllowedDocument;
use crate::error::{Ceiling, Error};
use vouchsafe_types::{RevocationList, RevocationRule, UnixSeconds};

/// The header's `typ`. No token has it, and no verifier of tokens accepts it.
pub const REVOCATIONS_TYP: &str = "vouchsafe-revocations+jwt";
/// How long a verifier may use the document, in seconds.
pub const REVOCATIONS_LIFETIME_SECONDS: u64 = 15;
/// Most bytes of the claims, so that the document has less than 1 MiB, which is what verifiers read.
pub const REVOCATIONS_BYTES_MAX: usize = 768_000;

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
    ) -> Result<AllowedDocument, Error> {
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
        self.allow_document(REVOCATIONS_TYP, payload, issued_at, now)
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
