//! The broker's JWK Set, with the certificates of its keys.

use crate::error::{Check, VerificationError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use vouchsafe_jose::{Algorithm, Json, JsonObject, KeySet, KeyUse, PublicKey};
use vouchsafe_x509::{LeafKey, PinError, PinnedLeaf, PinnedRoot};

/// A parsed JWK Set.
#[derive(Debug)]
pub struct Keys {
    set: KeySet,
    document: JsonObject,
}

impl Keys {
    /// # Errors
    /// [`Check::KeySet`].
    pub fn parse(jwks: &[u8]) -> Result<Self, VerificationError> {
        let set = KeySet::parse(jwks, KeyUse::Signature, &vouchsafe_crypto::Software)
            .map_err(|error| VerificationError::new(Check::KeySet, error))?;
        let document = JsonObject::parse(jwks)
            .map_err(|_| VerificationError::new(Check::KeySet, "the key set is not strict JSON"))?;
        Ok(Self { set, document })
    }

    pub(crate) fn find(&self, kid: &str, algorithm: Algorithm) -> Result<&PublicKey, VerificationError> {
        self.set.find(Some(kid), algorithm).map_err(|error| VerificationError {
            hint: Some("the token's epoch ended long ago, or it is from another broker or a revoked generation"),
            ..VerificationError::new(Check::Key, error)
        })
    }

    /// Checks that `root` certifies the key for `issuer`.
    pub(crate) fn certified(
        &self,
        kid: &str,
        root: &PinnedRoot,
        issuer: &str,
        now: u64,
    ) -> Result<PinnedLeaf, VerificationError> {
        let verify = || {
            let keys = self.document.get("keys").and_then(Json::as_array).unwrap_or_default();
            let has_kid = |jwk: &&JsonObject| jwk.get("kid").and_then(Json::as_text) == Some(kid);
            let jwk = keys.iter().filter_map(Json::as_object).find(has_kid).ok_or(PinError::Missing)?;
            let chain = jwk.get("x5c").and_then(Json::as_array);
            let leaf = chain.and_then(<[Json]>::first).ok_or(PinError::Missing)?;
            let leaf = leaf.as_text().and_then(|text| STANDARD.decode(text).ok());
            let leaf = leaf.ok_or(PinError::Malformed)?;
            let key = leaf_key(jwk).ok_or(PinError::Key)?;
            root.vouches_for(&leaf, &key, issuer, now)
        };
        verify().map_err(|error| VerificationError {
            hint: hint(error),
            ..VerificationError::new(Check::Certificate, error)
        })
    }
}

fn hint(error: PinError) -> Option<&'static str> {
    match error {
        PinError::Missing => Some("keys of tier `hsm` have no certificate: only tier `delegated` can be pinned"),
        PinError::Chain => Some(
            "the root was replaced, or the keys are not the broker's: ask its operator, through another channel, for the fingerprint that `hsm-gateway status` shows",
        ),
        PinError::NotYetValid | PinError::Expired => {
            Some("check this machine's clock, and whether the key set is an old copy")
        }
        _ => None,
    }
}

fn leaf_key(jwk: &JsonObject) -> Option<LeafKey> {
    let bytes = |name| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_text()?).ok()?.try_into().ok();
    match jwk.get("crv")?.as_text()? {
        "Ed25519" => Some(LeafKey::Ed25519(bytes("x")?)),
        "P-256" => Some(LeafKey::P256 { x: bytes("x")?, y: bytes("y")? }),
        _ => None,
    }
}
