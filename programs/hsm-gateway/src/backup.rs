//! All keys of a token, created in memory so that they can be split into shares (`docs/hsm/key-ceremony.md`).
//!
//! Everything that holds a secret is wiped when it is dropped.

pub mod import;
mod keygen;
pub mod shares;

use crate::pkcs11::protocol::{Bytes, PrivateKey};
use p256::ecdsa::signature::Signer as _;
use serde::{Deserialize, Serialize};
use vouchsafe_cli::Failure;
use vouchsafe_gateway::KeyRule;
use vouchsafe_x509::{CertificateError, RootKey};
use zeroize::Zeroizing;

/// Initial capacity for a serialized backup, so that growth leaves no copies behind in memory.
const BACKUP_BYTES: usize = 256 * 1024;

/// The content of a backup.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    pub root: Bytes,
    pub root_signing: PrivateKey,
    /// DER.
    pub root_certificate: Bytes,
    pub keys: Vec<BackedUpKey>,
}

/// Version 1 of a `[[key]]`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackedUpKey {
    pub name: String,
    pub key: PrivateKey,
}

impl Backup {
    /// Generates the root, the root signing key with its certificate as of `now`, and a key for each of `rules`.
    pub fn generate<'r>(rules: impl Iterator<Item = &'r KeyRule>, now: u64) -> Result<Self, Failure> {
        let (signing, root_signing) = keygen::p256_key()?;
        let keys = rules.map(|rule| {
            let name = rule.name.clone();
            keygen::generate(rule.algorithm).map(|key| BackedUpKey { name, key })
        });
        let keys = keys.collect::<Result<_, Failure>>()?;
        Ok(Self {
            root: keygen::random_seed()?.to_vec().into(),
            root_certificate: certificate(&signing, &root_signing, now)?.into(),
            root_signing,
            keys,
        })
    }

    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BACKUP_BYTES));
        serde_json::to_writer(&mut *bytes, self)
            .map_err(|error| Failure::refused(format!("cannot serialize the backup: {error}")))?;
        Ok(bytes)
    }

    /// Parses what [`Backup::to_bytes`] returned.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        // The error's text would quote the input, which is secret.
        serde_json::from_slice(bytes)
            .map_err(|_| Failure::refused("the shares do not contain a backup of this version"))
    }
}

fn certificate(signing: &p256::ecdsa::SigningKey, key: &PrivateKey, now: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error: CertificateError| Failure::refused(error.to_string());
    let draft = root_key(key)?.draft(now).map_err(failed)?;
    let signature: p256::ecdsa::Signature = signing
        .try_sign(draft.message())
        .map_err(|error| Failure::refused(format!("the root signing key cannot sign: {error}")))?;
    draft.signed(&signature.to_bytes()).map_err(failed)
}

/// The public key of a root signing key.
fn root_key(key: &PrivateKey) -> Result<RootKey, Failure> {
    let wrong = || Failure::refused("the root signing key is not a P-256 key");
    let PrivateKey::Ec { point, .. } = key else {
        return Err(wrong());
    };
    let coordinates = point.split_first().and_then(|(_, rest)| rest.split_at_checked(32)).ok_or_else(wrong)?;
    let (Ok(x), Ok(y)) = (coordinates.0.try_into(), coordinates.1.try_into()) else {
        return Err(wrong());
    };
    RootKey::p256(x, y).map_err(|error| Failure::refused(error.to_string()))
}
