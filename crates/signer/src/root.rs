//! The software root, which `signer-local` keeps in memory.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use vouchsafe_crypto::Crypto;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::config::{Config, Variables, at, number};
use crate::epoch::{Epoch, KeyDerivationInfo, Seed};
use crate::error::{Error, Fault, Variable};
use crate::key::EpochKey;
use crate::log::LogKey;

/// Shortest root secret, decoded.
pub(crate) const ROOT_BYTES_MIN: usize = 32;
pub(crate) const ROOT_BYTES_MAX: usize = 64;

const FINGERPRINT_LABEL: &[u8] = b"vouchsafe-root-fingerprint-v1";
/// Enough that two roots never share a fingerprint.
const FINGERPRINT_BYTES: usize = 16;

/// A root secret and the generation of the keys that are derived from it.
pub struct Root {
    generation: u64,
    secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root(generation {}, ..)", self.generation)
    }
}

impl Root {
    /// Reads `signer_generation` and `signer_root`. Errors name the variable but never contain its value.
    ///
    /// # Errors
    /// [`Error::Misconfigured`].
    pub fn parse(variables: &Variables) -> Result<Self, Error> {
        let generation = number(&variables.signer_generation, 1, u64::MAX).map_err(at(Variable::SignerGeneration))?;
        let secret = root(&variables.signer_root).map_err(at(Variable::SignerRoot))?;
        Ok(Self { generation, secret })
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Identifies the secret: the same for the same secret, and unrelated to every seed that is derived from it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // A label of a seed starts with the length of its first field, so none equals this one.
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret).map(|mac| mac.chain_update(FINGERPRINT_LABEL));
        let digest = mac.map(|mac| mac.finalize().into_bytes());
        digest.map(|bytes| URL_SAFE_NO_PAD.encode(bytes.get(..FINGERPRINT_BYTES).unwrap_or(&bytes))).unwrap_or_default()
    }

    /// Derives the key of `epoch` and `algorithm` for the issuer and key group of `config`.
    pub(crate) fn key(
        &self,
        config: &Config,
        algorithm: Algorithm,
        epoch: Epoch,
        crypto: &dyn Crypto,
    ) -> Result<EpochKey, Error> {
        let info = KeyDerivationInfo { issuer: config.issuer(), group: config.group(), generation: self.generation };
        let seed = Seed::derive(&self.secret, info, algorithm, epoch)?;
        EpochKey::from_seed(&seed, algorithm, epoch, crypto)
    }

    /// Derives the key of the log that the store names `log`.
    pub(crate) fn log_key(&self, config: &Config, log: u64, crypto: &dyn Crypto) -> Result<LogKey, Error> {
        LogKey::derive(&self.secret, config.issuer(), config.group(), self.generation, log, crypto)
    }
}

fn root(text: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    let root = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::NotBase64Url)?);
    if !(ROOT_BYTES_MIN..=ROOT_BYTES_MAX).contains(&root.len()) {
        return Err(Fault::WrongLength { min: ROOT_BYTES_MIN, max: ROOT_BYTES_MAX });
    }
    Ok(root)
}
