//! The key of the transparency log, and the checkpoints that it signs.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vouchsafe_crypto::{Crypto, Entropy, PrivateNumbers, SigningKey};
use vouchsafe_tlog::{Checkpoint, KeyKind, SIZE_MAX, VerifierKey};
use zeroize::Zeroizing;

use crate::error::Error;

/// Labels of epoch keys begin with another scheme.
const SCHEME: &str = "vouchsafe-log-v1";

/// The Ed25519 key that signs checkpoints, and nothing else.
pub(crate) struct LogKey {
    private: Box<dyn SigningKey>,
    verifier: VerifierKey,
}

impl LogKey {
    /// Derives the key of the log of `issuer` that the store names `log`, for `group` and `generation`.
    pub(crate) fn derive(
        root: &[u8],
        issuer: &str,
        group: &str,
        generation: u64,
        log: u64,
        crypto: &dyn Crypto,
    ) -> Result<Self, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(root).map_err(|_| Error::Internal)?;
        for field in [SCHEME.as_bytes(), issuer.as_bytes(), group.as_bytes(), &generation.to_be_bytes()] {
            // Each field after its length, as in the labels of epoch keys.
            mac.update(&u32::try_from(field.len()).map_err(|_| Error::Internal)?.to_be_bytes());
            mac.update(field);
        }
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
        let private = crypto.signing_key(PrivateNumbers::Ed25519(&seed)).ok_or(Error::Internal)?;
        let public = private.public_key().try_into().map_err(|_| Error::Internal)?;
        let origin = origin(issuer, log);
        let verifier = VerifierKey::new(&origin, KeyKind::Ed25519, public).map_err(|_| Error::Internal)?;
        Ok(Self { private, verifier })
    }

    /// The public key with the log's name.
    pub(crate) fn verifier(&self) -> String {
        self.verifier.to_string()
    }

    /// Signs the checkpoint of a tree. It is built here, so the key signs nothing else.
    pub(crate) fn sign(&self, size: u64, root: &[u8], entropy: &Entropy) -> Result<String, Error> {
        let root = root.try_into().map_err(|_| Error::Internal)?;
        if !(1..=SIZE_MAX).contains(&size) {
            return Err(Error::Internal);
        }
        let text = Checkpoint { origin: self.verifier.name().to_owned(), size, root }.to_string();
        let signature = self.private.sign(text.as_bytes(), entropy).ok_or(Error::Internal)?;
        Ok(format!("{text}\n{}", self.verifier.line(&signature)))
    }
}

/// The name of a log: its URL without the scheme.
fn origin(issuer: &str, log: u64) -> String {
    let host = issuer.split_once("://").map_or(issuer, |(_, host)| host);
    format!("{}/log/{log}", host.trim_end_matches('/'))
}
