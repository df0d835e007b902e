//! All keys of a token, made in memory so that they can be split into shares (`docs/hsm/key-ceremony.md`).
//!
//! Keys are made by the crates that use such keys everywhere else here, from the operating system's
//! randomness; what holds a secret wipes it when dropped.

use crate::worker::protocol::{Bytes, PrivateKey};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use p256::ecdsa::signature::Signer as _;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use serde::{Deserialize, Serialize};
use vouchsafe_cli::Failure;
use vouchsafe_gateway::{KeyAlgorithm, KeyRule};
use vouchsafe_signer::SEED_BYTES;
use vouchsafe_x509::RootKey;
use zeroize::Zeroizing;

const RSA_BITS: usize = 3072;
/// Room for a backup, so that writing it leaves no copies behind in memory.
const BACKUP_BYTES: usize = 256 * 1024;
/// Draws of a P-256 key; each is out of range with probability 2^-32.
const DRAWS_MAX: u32 = 8;

/// What shares give back.
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
    /// New keys for all of `rules`, and the root's certificate of `now`.
    pub fn new<'r>(rules: impl Iterator<Item = &'r KeyRule>, now: u64) -> Result<Self, Failure> {
        let (signing, root_signing) = p256_key()?;
        let keys = rules.map(|rule| {
            let key = match rule.algorithm {
                KeyAlgorithm::EdDsa => ed25519_key()?,
                KeyAlgorithm::Es256 => p256_key()?.1,
                KeyAlgorithm::Rs256 => rsa_key()?,
            };
            let name = rule.name.clone();
            Ok(BackedUpKey { name, key })
        });
        let keys = keys.collect::<Result<_, Failure>>()?;
        Ok(Self {
            root: random()?.to_vec().into(),
            root_certificate: certificate(&signing, &root_signing, now)?.into(),
            root_signing,
            keys,
        })
    }

    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BACKUP_BYTES));
        serde_json::to_writer(&mut *bytes, self)
            .map_err(|error| Failure::refused(format!("the backup can't be written: {error}")))?;
        Ok(bytes)
    }

    /// Reads what [`Backup::to_bytes`] wrote.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        // The error's text quotes what it met, and that is a secret.
        serde_json::from_slice(bytes)
            .map_err(|_| Failure::refused("what the shares give is no backup of this version"))
    }
}

fn certificate(
    signing: &p256::ecdsa::SigningKey,
    key: &PrivateKey,
    now: u64,
) -> Result<Vec<u8>, Failure> {
    let failed = |error: vouchsafe_x509::CertificateError| Failure::refused(error.to_string());
    let draft = root_key(key)?.draft(now).map_err(failed)?;
    let signature: p256::ecdsa::Signature = signing
        .try_sign(draft.message())
        .map_err(|error| Failure::refused(format!("the root can't sign: {error}")))?;
    draft.signed(&signature.to_bytes()).map_err(failed)
}

/// The public half of a root signing key.
pub fn root_key(key: &PrivateKey) -> Result<RootKey, Failure> {
    let wrong = || Failure::refused("the root signing key is not on P-256");
    let PrivateKey::Ec { point, .. } = key else {
        return Err(wrong());
    };
    let coordinates = point
        .split_first()
        .map(|(_, rest)| rest.split_at_checked(32));
    let Some(Some((x, y))) = coordinates else {
        return Err(wrong());
    };
    let (x, y) = (x.try_into(), y.try_into());
    let (Ok(x), Ok(y)) = (x, y) else {
        return Err(wrong());
    };
    RootKey::p256(x, y).map_err(|error| Failure::refused(error.to_string()))
}

fn random() -> Result<Zeroizing<[u8; SEED_BYTES]>, Failure> {
    let mut bytes = Zeroizing::new([0; SEED_BYTES]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|error| Failure::refused(format!("no randomness: {error}")))?;
    Ok(bytes)
}

fn p256_key() -> Result<(p256::ecdsa::SigningKey, PrivateKey), Failure> {
    for _ in 0..DRAWS_MAX {
        let scalar = random()?;
        if let Ok(key) = p256::ecdsa::SigningKey::from_slice(scalar.as_slice()) {
            let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
            let scalar = scalar.to_vec().into();
            return Ok((key, PrivateKey::Ec { scalar, point }));
        }
    }
    Err(Failure::refused("no randomness: no draw is a key"))
}

fn ed25519_key() -> Result<PrivateKey, Failure> {
    let seed = random()?;
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let point = key.verifying_key().as_bytes().to_vec();
    Ok(PrivateKey::Edwards {
        seed: seed.to_vec().into(),
        point,
    })
}

fn rsa_key() -> Result<PrivateKey, Failure> {
    let failed = || Failure::refused("no RSA key could be made");
    let key = rsa::RsaPrivateKey::new(&mut UnwrapErr(SysRng), RSA_BITS).map_err(|_| failed())?;
    let secret = |number: Option<&rsa::BoxedUint>| {
        let bytes = number.ok_or_else(failed)?.to_be_bytes_trimmed_vartime();
        Ok::<_, Failure>(Bytes::from(bytes.into_vec()))
    };
    let coefficient = key.qinv().map(|it| it.retrieve());
    Ok(PrivateKey::Rsa {
        modulus: key.n_bytes().into_vec(),
        exponent: key.e_bytes().into_vec(),
        private_exponent: secret(Some(key.d()))?,
        prime_1: secret(key.primes().first().map(AsRef::as_ref))?,
        prime_2: secret(key.primes().get(1).map(AsRef::as_ref))?,
        exponent_1: secret(key.dp())?,
        exponent_2: secret(key.dq())?,
        coefficient: secret(coefficient.as_ref())?,
    })
}
